"""The table of accuracy: a mean of each metric, with its interval."""

from __future__ import annotations

from collections.abc import Sequence

from briges.benchmarks.accuracy.rows import AccuracyRow, Interval
from briges.benchmarks.report.columns import ABSENT, Cell, Column, word_column
from briges.benchmarks.report.entries import Scored
from briges.benchmarks.report.numbers import plain

_TITLES = {
    "abs_rel": "AbsRel",
    "sq_rel": "SqRel",
    "rmse_m": "RMSE, m",
    "rmse_log": "RMSE log",
    "irmse_per_km": "iRMSE, 1/km",
    "silog": "SILog",
    "delta1": "δ1",
    "delta2": "δ2",
    "delta3": "δ3",
    "relative_l2": "relative L2",
    "aligned_abs_rel": "aligned AbsRel",
}


def accuracy_columns(scored: Sequence[Scored]) -> list[Column]:
    """A cell of each column for each row of accuracy: means, with their intervals beneath."""
    rows = [one.row for one in scored]
    names = dict.fromkeys(name for row in rows for name in row.means)
    columns = [
        Column("subject", "", False, tuple(_subject(row) for row in rows)),
        word_column("dataset", [row.protocol.dataset for row in rows], [_protocol(row) for row in rows]),
        Column("images", "", True, tuple(_images(row) for row in rows)),
    ]
    return [
        *columns,
        *(Column(metric_title(name), "", True, tuple(_mean(row.means.get(name)) for row in rows)) for name in names),
    ]


def metric_title(name: str) -> str:
    """How the metric of this key is written."""
    return _TITLES.get(name, name.replace("_", " "))


def metric_text(value: float) -> str:
    """Four decimals, and more where they would hide the value."""
    return plain(value, 3) if 0 < abs(value) < 0.01 else f"{value:.4f}"


def _subject(row: AccuracyRow) -> Cell:
    return Cell(row.subject.label, row.subject.label, "; ".join(row.subject.notices), bad=True)


def _mean(interval: Interval | None) -> Cell:
    if interval is None:
        return Cell(ABSENT, None)
    return Cell(
        metric_text(interval.mean), interval.mean, f"{metric_text(interval.low)} to {metric_text(interval.high)}"
    )


def _images(row: AccuracyRow) -> Cell:
    skipped = sum(image.skipped is not None for image in row.images)
    used = len(row.images) - skipped
    parts = ([f"{skipped} skipped"] if skipped else []) + (["INTERRUPTED"] if row.interrupted else [])
    return Cell(str(used), used, ", ".join(parts), bad=row.interrupted)


def _protocol(row: AccuracyRow) -> str:
    flipped = ", flip averaged" if row.protocol.flip else ""
    against = f", against {row.protocol.reference}" if row.protocol.reference else ""
    return f"{row.protocol.task}{flipped}{against}"
