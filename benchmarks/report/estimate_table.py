"""The table of roofline estimates, each of which is called one."""

from __future__ import annotations

from collections.abc import Sequence

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
from briges.benchmarks.report.numbers import plain
from briges.benchmarks.roofline.rows import EstimateRow


def estimate_columns(rows: Sequence[EstimateRow]) -> list[Column]:
    """A cell of each column for each estimate, which says so in its first."""
    return [
        word_column(
            "subject", [f"ESTIMATE {row.preset}" for row in rows], [rest_of(row.semantic_interval) for row in rows]
        ),
        word_column("device", [row.device for row in rows]),
        word_column("precision", [row.precision for row in rows]),
        size_column(row.size for row in rows),
        count_column("batch", (row.batch for row in rows)),
        figure_column("floor", "ms", [row.floor_ms for row in rows]),
        Column("expected", "ms", True, tuple(_expected(row) for row in rows)),
        figure_column("activations", "MB", [row.activation_bytes / 1e6 for row in rows]),
        word_column("fits", ["yes" if row.fits else "no" for row in rows]),
        word_column("advice", ["; ".join(row.advice) or ABSENT for row in rows]),
    ]


def _expected(row: EstimateRow) -> Cell:
    if not row.expected_ms:
        return Cell(ABSENT, None)
    efficiencies = " and ".join(f"{share:.0%}" for share in row.efficiencies)
    low, high = min(row.expected_ms), max(row.expected_ms)
    return Cell(f"{plain(low, 3)} to {plain(high, 3)}", low, f"at {efficiencies}")
