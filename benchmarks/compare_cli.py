"""`briges bench compare`: parses, compares, prints, and fails where it was asked to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class Percent(click.ParamType[float]):
    """A share, written "5%" or "0.05"."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As a share, 0.05."""
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share < 1:
            self.fail(f"{text!r} is no share: write 5% or 0.05", param, ctx)
        return share


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--fail-if-slower", type=Percent(), metavar="SHARE", help="Exit code 1 if NEW is slower by more, surely.")
def compare(old: Path, new: Path, fail_if_slower: float | None) -> None:
    """Compare the latencies of the results OLD and NEW: ratio of medians, with its 95 % bootstrap interval.

    \b
    Before and after a change, in a continuous integration:
      briges bench latency build/engine --json before.jsonl
      briges bench latency build/engine --json after.jsonl
      briges bench compare before.jsonl after.jsonl --fail-if-slower 5%

    Measurements are paired that measured the same; files of one measurement each are always a pair. It fails only if
    the ratio is above the share and its whole interval lies above 1. Differences of the environment are printed.
    """
    from briges.benchmarks.compare import compare_rows
    from briges.benchmarks.records import latency_rows, read_rows
    from briges.runtime.errors import ResultError
    from briges.runtime.tables import Section, print_sections
    from briges.runtime.terminal import warn, warnings_shown

    with warnings_shown():
        rows = [latency_rows(read_rows([path])) for path in (old, new)]
    if same := old.resolve() == new.resolve():
        warn([f"{old} is compared with itself: every ratio is 1"])
    comparisons, alone = compare_rows(*rows)
    cells = tuple(
        (
            f"{found.old.latency.p50_ms:.3f}",
            f"{found.new.latency.p50_ms:.3f}",
            f"{found.ratio:.3f}",
            f"{found.low:.3f} to {found.high:.3f}",
            found.new.subject.label,
        )
        for found in comparisons
    )
    columns = ("old p50 ms", "new p50 ms", "ratio", "95 % interval", "measurement")
    print_sections([Section("NEW over OLD: above 1 is slower", cells, columns)])
    for difference in dict.fromkeys(text for found in comparisons for text in found.differences):
        warn([f"beware: {difference}"])
    for label in () if same else alone:
        click.echo(f"only in one file: {label}")
    if fail_if_slower is None:
        return
    if lost := [label for label in alone if label in {row.subject.label for row in rows[0]}]:
        raise ResultError(
            subject=lost[0],
            came=f"measured in {old}, not in {new}",
            expected="every measurement again, as --fail-if-slower asks",
            cure="measure it again, or take it out of the old file",
        )
    if slower := [found for found in comparisons if found.is_slower(fail_if_slower)]:
        worst = max(slower, key=lambda found: found.ratio)
        raise ResultError(
            subject=worst.new.subject.label,
            came=f"{worst.ratio:.3f} times the old latency, {worst.low:.3f} to {worst.high:.3f}",
            expected=f"at most {1 + fail_if_slower:.3f} times, as --fail-if-slower asks",
            cure="look at what differs above; measure both again on a quiet machine before believing it",
        )
