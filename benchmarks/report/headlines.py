"""What a reader should see first: the best figures, and every reason to doubt them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from briges.benchmarks.report.entries import Report
from briges.benchmarks.report.facts import differing, environment_facts
from briges.benchmarks.report.numbers import plain
from briges.benchmarks.rows import Check
from briges.runtime.agreement import violations


@dataclass(frozen=True)
class Headline:
    """A figure, its unit, what it is, and the row it is of."""

    title: str
    figure: str
    unit: str
    tag: str
    label: str


@dataclass(frozen=True)
class Caveat:
    """``tags``: the rows it is about; empty: all."""

    tags: tuple[str, ...]
    text: str


def headlines(report: Report) -> list[Headline]:
    """The lowest latency, highest throughput and smallest error, of rows that are whole and not known to be wrong."""
    found = []
    whole = [entry for entry in report.latency if not entry.row.interrupted and _is_right(entry.row.check)]
    if whole:
        entry = min(whole, key=lambda entry: entry.row.latency.p50_ms)
        figure = plain(entry.row.latency.p50_ms)
        found.append(Headline("lowest median latency", figure, "ms", entry.tag, entry.label))
        entry = max(whole, key=lambda entry: entry.row.throughput_fps)
        figure = plain(entry.row.throughput_fps)
        found.append(Headline("highest throughput", figure, "images/s", entry.tag, entry.label))
    scored = [one for one in report.accuracy if "abs_rel" in one.row.means and not one.row.interrupted]
    if len({one.row.protocol.dataset for one in scored}) == 1:  # of two sets none is the better one
        best = min(scored, key=lambda one: one.row.means["abs_rel"].mean)
        figure = f"{best.row.means['abs_rel'].mean:.4f}"
        found.append(Headline("smallest AbsRel", figure, best.row.protocol.dataset, best.tag, best.label))
    return found


def _is_right(check: Check) -> bool:
    if check.agreement is None or check.limits is None:
        return True  # nothing was compared, and the row says so
    return not violations(check.agreement, check.limits)


def caveats(report: Report) -> list[Caveat]:
    """Environments that differ, then notices and flags, each once with the rows it is of."""
    found = []
    if len(report.places) > 1:
        fields = ", ".join(differing([environment_facts(place.environment) for place in report.places]))
        text = (
            f"{len(report.places)} environments, which differ in {fields}: compare figures within one environment only"
        )
        found.append(Caveat((), text))
    rows: dict[str, list[str]] = {}
    for tag, text in _doubts(report):
        tags = rows.setdefault(text, [])
        if tag not in tags:
            tags.append(tag)
    return found + [Caveat(tuple(tags), text) for text, tags in rows.items()]


def _doubts(report: Report) -> Iterable[tuple[str, str]]:
    for entry in report.latency:
        yield from ((entry.tag, text) for text in (*entry.row.subject.notices, *entry.flags))
    for one in report.accuracy:
        yield from ((one.tag, text) for text in one.row.subject.notices)
        if one.row.interrupted:
            yield one.tag, "accuracy of fewer images than were asked for: interrupted"
    yield from ((tag, f"{row.what} of a kernel: {row.problem}") for tag, row in report.kernels if row.problem)
