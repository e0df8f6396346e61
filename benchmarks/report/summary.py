"""Rows as tables of cells: what the page and the Markdown show alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from briges.benchmarks.accuracy.rows import AccuracyRow, Interval
from briges.benchmarks.report.entries import Entry, Report, Scored, parse_size
from briges.benchmarks.roofline.rows import EstimateRow
from briges.runtime.agreement import violations

ABSENT = "\N{EN DASH}"

# How metrics are written in tables; one that is not here is written as it is named in the row.
METRICS = {
    "abs_rel": "AbsRel",
    "sq_rel": "SqRel",
    "rmse_m": "RMSE, m",
    "rmse_log": "RMSE log",
    "irmse_per_km": "iRMSE, 1/km",
    "silog": "SILog",
    "delta1": "δ1",
    "delta2": "δ2",
    "delta3": "δ3",
}
_MB = 1e6


@dataclass(frozen=True)
class Cell:
    """``text``: for people. ``order``: what the column is sorted by; None sorts last. ``detail``: a small line below."""

    text: str
    order: float | str | None
    detail: str = ""


@dataclass(frozen=True)
class Column:
    """``unit`` stands below ``title``. ``numeric``: its cells are set flush right and sorted as numbers."""

    title: str
    unit: str
    numeric: bool
    cells: tuple[Cell, ...]

    @property
    def empty(self) -> bool:
        """Whether no row has anything in it."""
        return all(cell.text == ABSENT for cell in self.cells)


def latency_columns(report: Report) -> list[Column]:
    """A cell of each column for each row of latency. Columns without any figure are left out."""
    entries = report.latency
    subjects = [entry.row.subject for entry in entries]
    usages = [entry.row.usage for entry in entries]

    def figures(title: str, unit: str, value: Callable[[Entry], float | None]) -> Column:
        return _figures(title, unit, [value(entry) for entry in entries])

    columns = [
        _words("preset", [subject.preset for subject in subjects], [variant(entry) for entry in entries]),
        _words("engine", [subject.engine for subject in subjects], [subject.backend for subject in subjects]),
        _words("precision", [subject.precision for subject in subjects]),
        Column("size", "h x w", True, tuple(Cell(subject.size, area(subject.size)) for subject in subjects)),
        Column("batch", "", True, tuple(Cell(str(subject.batch), subject.batch) for subject in subjects)),
        figures("p50", "ms", lambda entry: entry.row.latency.p50_ms),
        figures("p90", "ms", lambda entry: entry.row.latency.p90_ms),
        figures("p99", "ms", lambda entry: entry.row.latency.p99_ms),
        figures("jitter", "ms", lambda entry: entry.row.latency.jitter_ms),
        figures("throughput", "fps", lambda entry: entry.row.throughput_fps),
        figures("overhead", "ms", overhead_ms),
        _figures("host memory", "MB, peak", [_megabytes(usage.host_peak_bytes) for usage in usages]),
        _figures("device memory", "MB, peak", [_megabytes(usage.device_peak_bytes) for usage in usages]),
        _words("stable", ["yes" if entry.row.stability.stable else "no" for entry in entries]),
        Column("check", "relative L2", False, tuple(_check(entry) for entry in entries)),
        _accuracy("AbsRel", "abs_rel", entries),
        _accuracy("δ1", "delta1", entries),
    ]
    if len(report.places) > 1:
        places = (Cell(str(entry.environment), entry.environment) for entry in entries)
        columns.append(Column("environment", "", True, tuple(places)))
    return [column for column in columns if not column.empty]


def accuracy_columns(scored: Sequence[Scored]) -> list[Column]:
    """A cell of each column for each row of accuracy: means, with their intervals beneath."""
    rows = [one.row for one in scored]
    names = dict.fromkeys(name for row in rows for name in row.means)
    columns = [
        _words("subject", [row.subject.label for row in rows], ["; ".join(row.subject.notices) for row in rows]),
        _words("dataset", [row.protocol.dataset for row in rows], [_protocol(row) for row in rows]),
        Column("images", "", True, tuple(_images(row) for row in rows)),
    ]
    return [
        *columns,
        *(
            Column(METRICS.get(name, name), "", True, tuple(_mean(row.means.get(name)) for row in rows))
            for name in names
        ),
    ]


def estimate_columns(rows: Sequence[EstimateRow]) -> list[Column]:
    """A cell of each column for each estimate, which says so in its first."""
    return [
        _words(
            "subject", [f"ESTIMATE {row.preset}" for row in rows], [_interval(row.semantic_interval) for row in rows]
        ),
        _words("device", [row.device for row in rows]),
        _words("precision", [row.precision for row in rows]),
        Column("size", "h x w", True, tuple(Cell(row.size, area(row.size)) for row in rows)),
        Column("batch", "", True, tuple(Cell(str(row.batch), row.batch) for row in rows)),
        _figures("floor", "ms", [row.floor_ms for row in rows]),
        Column("expected", "ms", True, tuple(_expected(row) for row in rows)),
        _figures("activations", "MB", [row.activation_bytes / _MB for row in rows]),
        _words("fits", ["yes" if row.fits else "no" for row in rows]),
        _words("advice", ["; ".join(row.advice) or ABSENT for row in rows]),
    ]


def variant(entry: Entry) -> str:
    """How the subject was run, where it is not the plain way: in words, empty if it is."""
    subject, method = entry.row.subject, entry.row.method
    parts = [f"{subject.attention} attention"] if subject.engine.startswith("tensorrt") else []
    parts += [_interval(subject.semantic_interval)] if subject.semantic_interval > 1 else []
    parts += [f"tau {subject.temperature:g}"] if subject.temperature not in (None, 1.0) else []
    parts += [f"{method.streams} streams"] if method.streams > 1 else []
    parts += [f"{method.rate_fps:g} fps camera"] if method.rate_fps is not None else []
    parts += ["soak"] if method.mode == "soak" else []
    return ", ".join(parts)


def overhead_ms(entry: Entry) -> float | None:
    """The median of the host's own time per request, by nearest rank; None where nothing was timed."""
    ordered = sorted(entry.row.overhead_ms)
    return ordered[(len(ordered) + 1) // 2 - 1] if ordered else None


def area(size: str) -> float | None:
    """Pixels of "518x686", to sort by; None if it is not of this form."""
    sides = parse_size(size)
    return None if sides is None else float(math.prod(sides))


def _figures(title: str, unit: str, values: Sequence[float | None]) -> Column:
    """As many decimals in every cell as the smallest value needs for three digits, two at most."""
    known = [abs(value) for value in values if value]
    decimals = min(max(2 - math.floor(math.log10(min(known))), 0), 2) if known else 0
    cells = (Cell(ABSENT if value is None else f"{value:.{decimals}f}", value) for value in values)
    return Column(title, unit, True, tuple(cells))


def _words(title: str, texts: Iterable[str], details: Iterable[str] | None = None) -> Column:
    every = list(texts)
    below = list(details) if details is not None else [""] * len(every)
    return Column(title, "", False, tuple(Cell(text, text, detail) for text, detail in zip(every, below, strict=True)))


def _megabytes(count: int | None) -> float | None:
    return None if count is None else count / _MB


def _check(entry: Entry) -> Cell:
    check = entry.row.check
    if check.agreement is None:
        return Cell("not compared", None, check.skipped or "")
    error = check.agreement.relative_l2
    figure = "not finite" if error is None else f"{error:.1e}"
    if check.limits is None:
        return Cell(figure, error, "no limit")
    return Cell(figure, error, "FAILED" if violations(check.agreement, check.limits) else "passed")


def _accuracy(title: str, metric: str, entries: Sequence[Entry]) -> Column:
    cells = []
    for entry in entries:
        found = [(row.means[metric].mean, row.protocol.dataset) for row in entry.accuracy if metric in row.means]
        text = " / ".join(f"{mean:.4f}" for mean, _ in found)
        cells.append(Cell(text or ABSENT, found[0][0] if found else None, " / ".join(name for _, name in found)))
    return Column(title, "", True, tuple(cells))


def _mean(interval: Interval | None) -> Cell:
    if interval is None:
        return Cell(ABSENT, None)
    return Cell(f"{interval.mean:.4f}", interval.mean, f"{interval.low:.4f} to {interval.high:.4f}")


def _images(row: AccuracyRow) -> Cell:
    skipped = sum(image.skipped is not None for image in row.images)
    used = len(row.images) - skipped
    parts = ([f"{skipped} skipped"] if skipped else []) + (["INTERRUPTED"] if row.interrupted else [])
    return Cell(str(used), used, ", ".join(parts))


def _protocol(row: AccuracyRow) -> str:
    flipped = ", flip averaged" if row.protocol.flip else ""
    against = f", against {row.protocol.reference}" if row.protocol.reference else ""
    return f"{row.protocol.task}{flipped}{against}"


def _interval(interval: int) -> str:
    return f"semantics 1/{interval}" if interval > 1 else ""


def _expected(row: EstimateRow) -> Cell:
    if not row.expected_ms:
        return Cell(ABSENT, None)
    efficiencies = " and ".join(f"{share:.0%}" for share in row.efficiencies)
    low, high = min(row.expected_ms), max(row.expected_ms)
    return Cell(f"{low:.3g} to {high:.3g}", low, f"at {efficiencies} of the device's limit")
