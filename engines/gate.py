"""The numeric gate every build ends with: outputs for real photographs against fp32 PyTorch's, kept by the export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from briges.engines.onnx_run import open_graph
from briges.engines.rounding import emulated
from briges.runtime import contracts
from briges.runtime.agreement import LIMITS, Precision, compare, headroom, worst
from briges.runtime.errors import GateError
from briges.runtime.manifest import Gate, GateRow, judge
from briges.runtime.photographs import Feed, photograph_feeds
from briges.runtime.sidecar import ModelSpec, SizedGraph

Depth = NDArray[np.float32]
Run = Callable[[Feed], Depth]

_NAMES = {"onnx": "typed ONNX", "engine": "engine"}


@dataclass(frozen=True, eq=False)
class Check:
    """One row of the gate with what was compared, float32 [B, 1, H, W] per photograph; none if it was skipped."""

    row: GateRow
    outputs: tuple[Depth, ...]
    references: tuple[Depth, ...]


def check_onnx(
    model: ModelProto,
    folder: Path,
    spec: ModelSpec,
    graph: SizedGraph,
    references: Sequence[Depth],
    on_step: Callable[[str], None],
) -> Check:
    """Check the typed graph ``model``, whose weights lie in ``folder``, on ONNX Runtime's CPU.

    A half graph is emulated, so that it overflows and rounds here as on a GPU. ``references``: one per photograph, of
    ``photographs.read_references``. Raises BackendError, BuildError.
    """
    return _check("onnx", open_depth(model, folder, spec.precision), spec, graph, references, on_step)


def check_engine(
    run: Run, spec: ModelSpec, graph: SizedGraph, references: Sequence[Depth], on_step: Callable[[str], None]
) -> Check:
    """Check an engine that can run here: ``run`` takes the arrays of the model's inputs. Raises what ``run`` raises."""
    return _check("engine", run, spec, graph, references, on_step)


def skip(subject: Literal["onnx", "engine"], graph: SizedGraph, reason: str) -> Check:
    """The row of what cannot run here, or need not; ``reason`` says exactly why."""
    return Check(GateRow(subject, graph.size, None, reason), (), ())


def verdict(precision: Precision, checks: Sequence[Check]) -> Gate:
    """Judge everything that ran, at least one check, by the limits of ``precision``."""
    limits, rows = LIMITS[precision], tuple(check.row for check in checks)
    assert any(row.agreement for row in rows), "the typed ONNX can be checked everywhere"
    return Gate(limits, rows, judge(rows, limits))


def describe(gate: Gate) -> list[str]:
    """The gate in lines for people: per row how much of each limit it used, or why it was skipped."""
    lines = []
    for row in gate.rows:
        said = f"skipped: {row.skipped}" if row.agreement is None else headroom(row.agreement, gate.limits)
        lines.append(f"{row.subject} {row.size}: {said}")
    return lines


def gate_error(subject: str, gate: Gate, evidence: Path, *, may_repair: bool) -> GateError:
    """The error of a failed gate whose evidence was kept in the folder ``evidence``.

    may_repair: whether `--repair` has not been tried and could help.
    """
    mend = "build with --repair, or export with --precision fp32" if may_repair else "try another TensorRT or precision"
    return GateError(
        subject=subject,
        came=f"failed its numeric gate: {'; '.join(gate.violations)}",
        expected="depth of real photographs within the limits of fp32 PyTorch's",
        cure=f"look at {evidence}, then {mend}; --allow-unverified keeps it as it is",
    )


def open_depth(model: ModelProto, folder: Path, precision: Precision) -> Run:
    """Load a graph of the contract on ONNX Runtime, emulated if it is a half one. Raises BackendError, BuildError."""
    half = precision != "fp32"
    run = open_graph(emulated(model) if half else model, folder, literal=half)
    return lambda feed: run(feed)[contracts.DEPTH]


def _check(
    subject: Literal["onnx", "engine"],
    run: Run,
    spec: ModelSpec,
    graph: SizedGraph,
    references: Sequence[Depth],
    on_step: Callable[[str], None],
) -> Check:
    feeds = photograph_feeds(spec, graph)
    outputs = []
    for number, feed in enumerate(feeds, start=1):
        on_step(f"checking the {_NAMES[subject]} of {graph.size} on photograph {number} of {len(feeds)}")
        outputs.append(run(feed))
    agreement = worst(compare(output, reference) for output, reference in zip(outputs, references, strict=True))
    return Check(GateRow(subject, graph.size, agreement, None), tuple(outputs), tuple(references))
