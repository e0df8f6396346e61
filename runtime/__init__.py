"""Engine bundle in, depth out: what a robot embeds. Importing this loads NumPy and nothing heavier."""

from briges.runtime.errors import BrigesError
from briges.runtime.estimator import DepthEstimator
from briges.runtime.result import DepthResult, Timings

__all__ = ["BrigesError", "DepthEstimator", "DepthResult", "Timings"]
