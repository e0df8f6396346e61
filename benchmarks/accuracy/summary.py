"""A row of accuracy for people."""

from __future__ import annotations

from collections import Counter

from briges.benchmarks.accuracy.metrics import HIGHER_IS_BETTER
from briges.benchmarks.accuracy.rows import AccuracyRow
from briges.runtime.tables import Section, print_sections


def print_row(row: AccuracyRow) -> None:
    """Print the means with their intervals on stdout."""
    scored = sum(image.skipped is None for image in row.images)
    cells = tuple(
        (name, digits(name, mean.mean), f"{digits(name, mean.low)} .. {digits(name, mean.high)}", better(name))
        for name, mean in row.means.items()
    )
    title = f"{row.subject.label}: {row.protocol.dataset}, {scored} image{'' if scored == 1 else 's'}"
    if row.interrupted:
        title += ", interrupted"
    print_sections([Section(title, cells, ("metric", "mean", "95 % interval", "better"))])


def digits(name: str, value: float) -> str:
    """A figure with as many digits as tell two bundles apart."""
    return f"{value:.6f}" if name == "correlation" else f"{value:.4g}"


def better(name: str) -> str:
    """Which way a metric is better."""
    return "higher" if name in HIGHER_IS_BETTER else "lower"


def skipped_text(row: AccuracyRow) -> list[str]:
    """How many images were left out, and why: one line, none if all were scored."""
    skipped = [image for image in row.images if image.skipped]
    if not skipped:
        return []
    first = {image.skipped: image.name for image in reversed(skipped)}
    reasons = [
        f"{name}: {reason}" + (f" (and {count - 1} more so)" if count > 1 else "")
        for reason, count in Counter(image.skipped for image in skipped).most_common(5)
        for name in [first[reason]]
    ]
    more = len(first) - len(reasons)
    reasons += [f"and {more} other reasons, see --json"] if more > 0 else []
    return [f"{len(skipped)} of {len(row.images)} images were left out. {'; '.join(reasons)}"]
