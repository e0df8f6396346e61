"""TensorRT's refusals in words: which node, what TensorRT says, and what to do about it."""

from __future__ import annotations

import re
from typing import Any

from briges.engines.job import PlanJob
from briges.engines.trt_log import NOISE, BuilderLog
from briges.runtime.errors import BuildError

_EXPORT_AGAIN = "export the model again with `briges export`"
_OTHERWISE = "read its log; `--flavour onnxruntime` runs the model meanwhile"

# What TensorRT says -> what helps. The first that is found counts.
_PARSER_CURES = (
    (r"no operator|does not support the operator", f"{_EXPORT_AGAIN}, or use --flavour onnxruntime"),
    (r"Failed to import initializer", f"the weights beside the graph are missing or not whole: {_EXPORT_AGAIN}"),
    (r"cannot be found|not a regular file", "check the path"),
    (r"type", f"TensorRT converts no types by itself, so each operator's must fit: {_EXPORT_AGAIN}"),
    (r"must match|dimension|shape", f"its sizes contradict each other: {_EXPORT_AGAIN}"),
)
_BUILD_CURES = (
    (r"workspace", "raise --workspace-bytes, or leave it out"),
    (r"bad_alloc", "memory ran out: close other programs or add swap, and run the same command again"),
    (r"[Oo]ut ?[Oo]f ?[Mm]emory", "memory of the GPU ran out: close other programs, or lower --workspace-bytes"),
    (
        r"CUDA_SUCCESS|cudaError|no CUDA-capable device|CUDA initialization",
        "this needs an NVIDIA GPU with its driver in the machine that builds",
    ),
)
_SHOWN = 10


def parser_refused(job: PlanJob, problems: list[Any]) -> BuildError:
    """The error for an ONNX file TensorRT's parser does not take; ``problems`` are its ParserErrors, of any number."""
    told = [_told(problem) for problem in problems]
    more = [f"and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
    listed = "".join(f"\n    {line}" for line in [*told[:_SHOWN], *more])
    return BuildError(
        subject=f"engine of {job.onnx}",
        came=f"TensorRT cannot parse it{':' if listed else ''}{listed}",
        expected="operators, types and shapes that TensorRT knows",
        cure=_cure(_PARSER_CURES, listed, _EXPORT_AGAIN),
    )


def _told(problem: Any) -> str:
    lines = [line for line in problem.desc().splitlines() if line.strip() and not NOISE.search(line)]
    if len(lines) > 1 and lines[0].startswith("Invalid Node"):
        del lines[0]  # the node is told anyway
    text = " ".join(lines)
    if problem.node() < 0:  # of the file as a whole
        return text
    operator = problem.node_operator()
    if "Plugin not found" in text:
        text = f"TensorRT has no operator and no plugin named {operator}"
    elif text in ("false", ""):
        text = f"TensorRT does not support the operator {operator}"
    return f"node {problem.node_name() or problem.node()} ({operator}): {text}"


def build_refused(job: PlanJob, log: BuilderLog) -> BuildError:
    """The error for a network that was parsed and could not be built."""
    said = log.errors[-_SHOWN:]
    listed = "".join(f"\n    {line}" for line in said)
    return BuildError(
        subject=f"engine of {job.onnx}",
        came=f"TensorRT cannot build it{':' if listed else ''}{listed}",
        expected="an engine",
        cure=_cure(_BUILD_CURES, listed, _OTHERWISE),
    )


def option_refused(job: PlanJob, option: str) -> BuildError:
    """The error for an option that this version of TensorRT does not have, or does not take."""
    return BuildError(
        subject=option,
        came=f"the installed version of {job.spec.flavour} refuses it",
        expected="an option it has",
        cure="leave it out, or install a newer version",
    )


def _cure(cures: tuple[tuple[str, str], ...], said: str, otherwise: str) -> str:
    return next((cure for pattern, cure in cures if re.search(pattern, said)), otherwise)
