"""The table of `briges bench kernel`: outputs that were checked, contenders that were timed, ceilings of the GPU."""

from __future__ import annotations

from collections.abc import Sequence

from briges.benchmarks.kernel_rows import KernelRow
from briges.benchmarks.report.columns import ABSENT, Cell, Column, figure_column, word_column
from briges.benchmarks.report.facts import Facts


def kernel_columns(rows: Sequence[KernelRow]) -> list[Column]:
    """A cell of each column for each row. Columns without any figure are left out."""
    columns = [
        Column(
            "subject", "", False, tuple(Cell(row.subject, row.subject, row.problem or "", bad=True) for row in rows)
        ),
        word_column("what", [row.what for row in rows]),
        _tiny_column("error", rows),
        _tiny_column("allowed", rows),
        figure_column("median", "ms", [row.values.get("median_ms") for row in rows]),
        figure_column("work per second", "TFLOP/s", [_tflop_per_s(row) for row in rows]),
        figure_column("ceiling", "", [row.values.get(row.subject) for row in rows]),
    ]
    return [column for column in columns if not column.empty]


def kernel_facts(rows: Sequence[KernelRow]) -> Facts:
    """What is known of the environment of ``rows``: of what changed between them, the first and the last value."""
    facts = {}
    for name in dict.fromkeys(name for row in rows for name in row.environment):
        values = list(dict.fromkeys(row.environment[name] for row in rows if name in row.environment))
        facts[name.replace("_", " ")] = values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"
    return facts


def _tiny_column(name: str, rows: Sequence[KernelRow]) -> Column:
    values = [row.values.get(name) for row in rows]
    return Column(name, "", True, tuple(Cell(ABSENT if it is None else f"{it:.2e}", it) for it in values))


def _tflop_per_s(row: KernelRow) -> float | None:
    flops, median_ms = row.values.get("flops"), row.values.get("median_ms")
    return None if flops is None or not median_ms else flops / median_ms / 1e9
