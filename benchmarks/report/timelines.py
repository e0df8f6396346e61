"""Charts of latency over time, and beneath it what the device told of itself: throttling shows here."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from briges.benchmarks.report import svg
from briges.benchmarks.report.downsample import Span, extremes
from briges.benchmarks.report.entries import Entry
from briges.benchmarks.report.numbers import plain
from briges.benchmarks.report.scales import Scale, scale_over

_SPANS = 210
_HEIGHT = 72
_LEFT = 46  # room for a level of six digits
_STRIP = 24
_READINGS = (("temperature_c", "temperature", "°C"), ("clock_mhz", "clock", "MHz"), ("power_w", "power", "W"))


def timeline(entry: Entry) -> Markup | None:
    """One row over time. None where it has no samples."""
    pairs = list(zip(entry.row.started_s, entry.row.samples_ms, strict=False))
    if not pairs:
        return None
    starts, samples = zip(*pairs, strict=True)
    across = scale_over(
        [0.0, max(starts[-1], *(reading.at_s for reading in entry.row.readings), 1e-3)], _LEFT, svg.RIGHT
    )
    across = Scale(0.0, across.high, across.start, across.end, log=False)
    bottom = 20.0 + _HEIGHT
    scale = scale_over([min(samples), max(samples)], bottom, 20.0)
    parts = [*svg.row_label(entry.tag, entry.label, 11, entry.colour), *_levels(scale)]
    parts += _trace(extremes(starts, samples, _SPANS), across, scale, entry.colour)
    y = bottom
    for name, title, unit in _READINGS:
        known = [
            (reading.at_s, value) for reading in entry.row.readings if (value := getattr(reading, name)) is not None
        ]
        if known:
            parts += _strip(known, across, y + 20, title, unit)
            y += 20 + _STRIP
    axis = svg.axis(across, 20.0, y, "latency, ms, over the time since the start, s")
    title = f"Latency over time of row {entry.tag}, in milliseconds"
    return svg.element("div", svg.chart(y + 32, title, [*axis, *parts]), data_tag=entry.tag)


def _levels(scale: Scale) -> list[Markup]:
    parts = []
    for value in scale.ticks(4):
        y = scale(value)
        parts.append(svg.element("line", x1=_LEFT, x2=svg.RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(svg.element("text", plain(value, 6), x=_LEFT - 4, y=y + 4, text_anchor="end", class_="tick"))
    return parts


def _trace(spans: Sequence[Span], across: Scale, scale: Scale, colour: int) -> list[Markup]:
    """A line through the medians of spans, of every sample where there are few, in the band between the extremes."""
    over = [(across(span.at), scale(span.high)) for span in spans]
    under = [(across(span.at), scale(span.low)) for span in reversed(spans)]
    middle = [(across(span.at), scale(span.median)) for span in spans]
    return [svg.path([*over, *under], f"c{colour} band", closed=True), svg.path(middle, f"c{colour} line")]


def _strip(known: Sequence[tuple[float, float]], across: Scale, top: float, title: str, unit: str) -> list[Markup]:
    times, values = zip(*known, strict=True)
    scale = scale_over([min(values), max(values)], top + _STRIP - 2, top + 4)
    spans = extremes(times, values, _SPANS)
    points = [(across(span.at), scale(level)) for span in spans for level in dict.fromkeys((span.low, span.high))]
    least, most = plain(min(values), 3), plain(max(values), 3)
    figures = f"{title} {plain(values[0], 3)} {unit} at first, {least} to {most}"
    return [svg.note(figures, top, _LEFT), svg.path(points, "line reading")]
