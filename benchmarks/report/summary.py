"""The table of latency, with everything that belongs beside it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from briges.benchmarks.report.columns import (
    ABSENT,
    Cell,
    Column,
    count_column,
    figure_column,
    rest_of,
    size_column,
    word_column,
)
from briges.benchmarks.report.entries import Entry, Report
from briges.runtime.agreement import violations


def latency_columns(report: Report) -> list[Column]:
    """A cell of each column for each row of latency. Columns without any figure are left out."""
    entries = report.latency
    subjects = [entry.row.subject for entry in entries]
    usages = [entry.row.usage for entry in entries]

    def figures(title: str, unit: str, value: Callable[[Entry], float | None]) -> Column:
        return figure_column(title, unit, [value(entry) for entry in entries])

    columns = [
        word_column("preset", [subject.preset for subject in subjects], [variant(entry) for entry in entries]),
        word_column("engine", [subject.engine for subject in subjects], [subject.backend for subject in subjects]),
        word_column("precision", [subject.precision for subject in subjects]),
        size_column(subject.size for subject in subjects),
        count_column("batch", (subject.batch for subject in subjects)),
        figures("p50", "ms", lambda entry: entry.row.latency.p50_ms),
        figures("p90", "ms", lambda entry: entry.row.latency.p90_ms),
        figures("p99", "ms", lambda entry: entry.row.latency.p99_ms),
        figures("jitter", "ms", lambda entry: entry.row.latency.jitter_ms),
        figures("throughput", "images/s", lambda entry: entry.row.throughput_fps),
        figures("overhead", "ms", overhead_ms),
        figure_column("host memory", "MB, peak", [_megabytes(usage.host_peak_bytes) for usage in usages]),
        figure_column("device memory", "MB, peak", [_megabytes(usage.device_peak_bytes) for usage in usages]),
        word_column("stable", ["yes" if entry.row.stability.stable else "no" for entry in entries]),
        Column("check", "relative L2", True, tuple(_check(entry) for entry in entries)),
        _accuracy("AbsRel", "abs_rel", entries),
        _accuracy("δ1", "delta1", entries),
    ]
    if len({entry.row.method.frame_size for entry in entries}) > 1:
        columns.append(word_column("frames", [entry.row.method.frame_size for entry in entries]))
    if len(report.places) > 1:
        columns.append(count_column("environment", (entry.environment for entry in entries)))
    return [column for column in columns if not column.empty]


def variant(entry: Entry) -> str:
    """How the subject was run, where it is not the plain way: in words, empty if it is."""
    subject, method = entry.row.subject, entry.row.method
    parts = [f"{subject.attention} attention"] if subject.engine.startswith("tensorrt") else []
    parts += [rest_of(subject.semantic_interval)] if subject.semantic_interval > 1 else []
    parts += [f"tau {subject.temperature:g}"] if subject.temperature not in (None, 1.0) else []
    parts += [f"{method.images} images a request"] if method.images != subject.batch else []
    parts += [f"{method.streams} streams"] if method.streams > 1 else []
    parts += [f"{method.rate_fps:g} fps camera"] if method.rate_fps is not None else []
    parts += ["soak"] if method.mode == "soak" else []
    return ", ".join(parts)


def overhead_ms(entry: Entry) -> float | None:
    """The median of the host's own time per request, by nearest rank; None where nothing was timed."""
    return statistics.median_low(entry.row.overhead_ms) if entry.row.overhead_ms else None


def _megabytes(count: int | None) -> float | None:
    return None if count is None else count / 1e6


def _check(entry: Entry) -> Cell:
    check = entry.row.check
    if check.agreement is None:
        return Cell("not compared", None, check.skipped or "")
    error = check.agreement.relative_l2
    figure = "not finite" if error is None else f"{error:.1e}"
    if check.limits is None:
        return Cell(figure, error, "no limit")
    failed = bool(violations(check.agreement, check.limits))
    return Cell(figure, error, "FAILED" if failed else "passed", bad=failed)


def _accuracy(title: str, metric: str, entries: Sequence[Entry]) -> Column:
    cells = []
    for entry in entries:
        found = [(row.means[metric].mean, row.protocol.dataset) for row in entry.accuracy if metric in row.means]
        text = " / ".join(f"{mean:.4f}" for mean, _ in found)
        cells.append(Cell(text or ABSENT, found[0][0] if found else None, " / ".join(name for _, name in found)))
    return Column(title, "", True, tuple(cells))
