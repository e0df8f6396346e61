"""Two bundles, image by image: what a precision, a temperature or a semantic interval changes."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from briges.benchmarks.accuracy.alignment import ALIGNMENT, Unaligned, align
from briges.benchmarks.accuracy.estimate import estimate
from briges.benchmarks.accuracy.metrics import depth_metrics
from briges.benchmarks.accuracy.rows import ImageScore
from briges.benchmarks.accuracy.samples import Sample
from briges.benchmarks.accuracy.tasks import Task, TaskName, skip
from briges.runtime.agreement import compare
from briges.runtime.estimator import DepthEstimator

# What is farther than a thousand times the nearest point has no depth to compare.
_LEAST_SHARE = 1e-3


class Reference:
    """Compares with another bundle's depth, and scores by ``truth`` too where there is ground truth.

    The other bundle computes semantics for every image, and has the temperature it was exported with, or 1.0.
    """

    name: TaskName = "reference"

    def __init__(self, other: DepthEstimator, truth: Task | None, *, flip: bool) -> None:
        """truth: what scores by ground truth, None where there is none. flip: as for the bundle that is scored."""
        self._other, self._truth, self._flip = other, truth, flip
        if truth is not None:
            self.name = truth.name
        self.alignment = truth.alignment if truth else f"{ALIGNMENT} for aligned_abs_rel, none for the others"
        self.ranking = truth.ranking if truth else "aligned_abs_rel"
        self.beside_name = (truth.beside_name if truth else "") or "the other bundle's depth"

    def score(self, sample: Sample, image: NDArray[np.uint8], depth: NDArray[np.float32]) -> ImageScore:
        """``relative_l2``, ``max_relative_error``, ``correlation``, ``aligned_deviation`` (as of
        ``briges.runtime.agreement``) and ``aligned_abs_rel``, and what ground truth adds.
        """
        score = None if self._truth is None else self._truth.score(sample, image, depth)
        if score is not None and score.skipped is not None:
            return score
        theirs = self._estimate(image)
        if (reason := _incomparable(depth, theirs)) is not None:
            return skip(sample, reason)
        metrics = compare_depth(depth, theirs)
        if score is None:
            return ImageScore(sample.name, metrics, None, None, None)
        return dataclasses.replace(score, metrics=score.metrics | metrics)

    def beside(self, sample: Sample, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Ground truth, or the other bundle's depth."""
        shown = None if self._truth is None else self._truth.beside(sample, image)
        return self._estimate(image) if shown is None else shown

    def _estimate(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return estimate(self._other, image, flip=self._flip, temperature=None)


def compare_depth(depth: NDArray[np.float32], reference: NDArray[np.float32]) -> dict[str, float]:
    """Metrics of relative inverse depth, float32 [h, w], against another, both finite and not constant.

    ``aligned_abs_rel``: AbsRel of depth, 1 / inverse depth, after the alignment of ``alignment``, the reference being
    ground truth with its nearest point at 1; where it is 0.001 of that or less it does not count.
    """
    found = compare(depth[None, None], reference[None, None])
    share = reference / reference.max()
    counted = share > _LEAST_SHARE
    truth = np.divide(1, share, out=np.zeros_like(share), where=counted)
    aligned = align(depth, truth, counted, (1.0, 1 / _LEAST_SHARE))
    values = {
        "relative_l2": found.relative_l2,
        "max_relative_error": found.max_relative_error,
        "correlation": found.correlation,
        "aligned_deviation": found.aligned_deviation,
    }
    if not isinstance(aligned, Unaligned):
        values["aligned_abs_rel"] = depth_metrics(aligned.depth_m, truth[counted].astype(np.float64))["abs_rel"]
    return {name: value for name, value in values.items() if value is not None}


def _incomparable(depth: NDArray[np.float32], reference: NDArray[np.float32]) -> str | None:
    """Why these two cannot be compared, if they cannot."""
    if not np.isfinite(depth).all():
        return "its depth has NaN or infinite values"
    if not np.isfinite(reference).all():
        return "the reference's depth has NaN or infinite values"
    if not np.ptp(reference) > 0 or not reference.max() > 0:
        return "the reference's depth is the same everywhere"
    return None
