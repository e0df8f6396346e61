"""Charts of where each row stands: accuracy against latency, and work done per second beside what a roofline allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from briges.benchmarks.report import svg
from briges.benchmarks.report.columns import parse_size
from briges.benchmarks.report.entries import Entry, Report
from briges.benchmarks.report.numbers import plain
from briges.benchmarks.report.scales import scale_over
from briges.benchmarks.roofline.work import gflop_of
from briges.runtime.errors import BrigesError

_METRIC = "abs_rel"


@dataclass(frozen=True)
class _Rate:
    """Work per second: one figure, or the range of an estimate and its ceiling. ``colour`` None: an estimate."""

    tag: str
    label: str
    colour: int | None
    low: float
    high: float
    ceiling: float | None


def accuracy_chart(entries: Sequence[Entry]) -> Markup | None:
    """AbsRel with its interval against the median latency. None without a row that has both."""
    points = [
        (entry, row.means[_METRIC], row.protocol.dataset)
        for entry in entries
        for row in entry.accuracy
        if _METRIC in row.means
    ]
    if not points:
        return None
    bottom = 220.0
    across = scale_over([entry.row.latency.p50_ms for entry, _, _ in points], 44, svg.RIGHT - 8)
    up = scale_over([edge for _, mean, _ in points for edge in (mean.low, mean.high)], bottom, 18)
    parts = svg.axis(across, 18, bottom, "median latency, ms")
    for value in up.ticks():
        y = up(value)
        parts.append(svg.element("line", x1=40, x2=svg.RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(svg.element("text", plain(value, 6), x=36, y=y + 4, text_anchor="end", class_="tick"))
    parts.append(svg.element("text", "AbsRel, smaller is better", x=svg.LEFT, y=10, class_="tick"))
    for entry, mean, dataset in points:
        x, y = across(entry.row.latency.p50_ms), up(mean.mean)
        figures = f"AbsRel {mean.mean:.4f} ({mean.low:.4f} to {mean.high:.4f}) on {dataset}"
        title = f"{entry.tag} {entry.row.subject.label}: {figures}"
        inside = [
            svg.element("line", x1=x, x2=x, y1=up(mean.low), y2=up(mean.high), class_=f"c{entry.colour} line"),
            svg.element("circle", svg.element("title", title), cx=x, cy=y, r=5, class_=f"c{entry.colour}"),
            svg.element("text", entry.tag, x=x + 8 if x < svg.RIGHT - 30 else x - 8, y=y - 6,
                        text_anchor="start" if x < svg.RIGHT - 30 else "end", class_="label tag"),
        ]  # fmt: skip  # one line per mark, as in the charts beside it
        parts.append(svg.element("g", *inside, data_tag=entry.tag))
    return svg.chart(bottom + 34, "AbsRel against median latency", parts)


def work_chart(report: Report) -> Markup | None:
    """Work per second at the median latency of each row; of estimates the expected range and the ceiling, hollow."""
    rates = [rate for entry in report.latency if (rate := _measured(entry)) is not None]
    for tag, row in report.estimates:
        gflop = sum(component.gflop for component in row.components)
        every = [gflop * 1000 / expected for expected in row.expected_ms if expected > 0]
        if every and row.floor_ms > 0 and row.semantic_interval == 1:
            label = f"ESTIMATE {row.preset} {row.precision} {row.size}, {row.device}"
            rates.append(_Rate(tag, label, None, min(every), max(every), gflop * 1000 / row.floor_ms))
    rates = [rate for rate in rates if rate.low > 0]
    if not rates:
        return None
    edges = [edge for rate in rates for edge in (rate.low, rate.high, rate.ceiling or rate.high)]
    scale = scale_over(edges, svg.LEFT + 6, svg.RIGHT - 6)
    height = 50
    bottom = float(height * len(rates))
    parts = svg.axis(scale, 0, bottom, "GFLOP per second")
    for at, rate in enumerate(rates):
        y = height * at + 22.0
        inside = svg.row_label(rate.tag, rate.label, height * at + 11, rate.colour)
        if rate.ceiling is None:
            dot = svg.element("title", f"{plain(rate.low)} GFLOP/s at the median")
            inside.append(svg.element("circle", dot, cx=scale(rate.low), cy=y, r=5, class_=f"c{rate.colour}"))
            figures = f"{plain(rate.low)} GFLOP/s"
        else:
            figures = f"ESTIMATE {plain(rate.low)} to {plain(rate.high)} GFLOP/s, {plain(rate.ceiling)} at most"
            inside.append(svg.bar(scale(rate.low), y - 5, scale(rate.high) - scale(rate.low), 10, "hollow", figures))
            x = scale(rate.ceiling)
            inside.append(svg.element("line", x1=x, x2=x, y1=y - 7, y2=y + 7, class_="ceiling"))
        inside.append(svg.note(figures, y + 19))
        parts.append(svg.element("g", *inside, data_tag=rate.tag))
    return svg.chart(bottom + 34, "Work per second, measured and estimated", parts)


def _measured(entry: Entry) -> _Rate | None:
    subject = entry.row.subject
    gflop = _gflop(subject.preset, subject.size, entry.row.method.images)
    alone = entry.row.method.mode in ("single-stream", "soak")  # otherwise latency holds waiting for others
    # Where the semantic encoder rests, the work of a request is not that of the network.
    if gflop is None or not alone or subject.semantic_interval > 1 or entry.row.latency.p50_ms <= 0:
        return None
    rate = gflop * 1000 / entry.row.latency.p50_ms
    return _Rate(entry.tag, entry.label, entry.colour, rate, rate, None)


def _gflop(preset: str, size: str, images: int) -> float | None:
    """The counted work of one request; None for a preset or a size that this release does not know."""
    sides = parse_size(size)
    try:
        return None if sides is None else gflop_of(preset, *sides, images)
    except BrigesError:
        return None
