"""Charts of rows side by side: distributions of latency, and memory. None where nothing can be drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from briges.benchmarks.report import svg
from briges.benchmarks.report.downsample import counts
from briges.benchmarks.report.entries import Entry
from briges.benchmarks.report.numbers import plain
from briges.benchmarks.report.scales import Scale, scale_over

_BINS = 140
_STRIP = 26


def distribution_chart(entries: Sequence[Entry]) -> Markup | None:
    """A histogram of every row's samples on one axis, with its percentiles."""
    drawn = [entry for entry in entries if entry.row.samples_ms]
    if not drawn:
        return None
    scale = scale_over(
        [edge for entry in drawn for edge in (min(entry.row.samples_ms), max(entry.row.samples_ms))],
        svg.LEFT,
        svg.RIGHT,
    )
    height = 66
    bottom = height * len(drawn)
    parts = svg.axis(scale, 0, bottom, "latency, ms")
    parts += [_distribution(entry, scale, height * at) for at, entry in enumerate(drawn)]
    return svg.chart(bottom + 34, "Distribution of latency of every row, with its percentiles", parts)


def memory_chart(entries: Sequence[Entry]) -> Markup | None:
    """Memory of host and device: what is held, and the peak around it."""
    bars = [
        (entry, place, steady, peak)
        for entry in entries
        for place, steady, peak in (
            ("host", entry.row.usage.host_steady_bytes, entry.row.usage.host_peak_bytes),
            ("device", entry.row.usage.device_steady_bytes, entry.row.usage.device_peak_bytes),
        )
        if steady is not None or peak is not None
    ]
    if not bars:
        return None
    most = [max(steady or 0, peak or 0) / 1e6 for _, _, steady, peak in bars]
    scale = scale_over(most, svg.LEFT, svg.RIGHT, from_zero=True)
    parts, y, before = [], 0.0, None
    for entry, place, steady, peak in bars:
        inside = svg.row_label(entry.tag, entry.label, y + 12, entry.colour) if entry is not before else []
        y += 18 if inside else 0
        known = [(name, value) for name, value in (("steady", steady), ("peak", peak)) if value is not None]
        title = f"{place}: {', '.join(f'{name} {value / 1e6:.0f} MB' for name, value in known)}"
        for name, value in reversed(known):
            class_ = f"c{entry.colour} {'faint' if name == 'peak' else 'full'}"
            inside.append(svg.bar(svg.LEFT, y, scale(value / 1e6) - svg.LEFT, 12, class_, title))
        inside.append(svg.note(title, y + 24))
        parts.append(svg.element("g", *inside, data_tag=entry.tag))
        before, y = entry, y + 34
    axis = svg.axis(scale, 0, y, "memory, MB")
    return svg.chart(y + 34, "Memory of host and device of every row", [*axis, *parts])


def _distribution(entry: Entry, scale: Scale, top: float) -> Markup:
    latency = entry.row.latency
    base = top + 16 + _STRIP
    span = svg.RIGHT - svg.LEFT
    spaced = np.geomspace if scale.log else np.linspace
    found = counts(entry.row.samples_ms, spaced(scale.low, scale.high, _BINS + 1).tolist())
    most = max(found)
    shape = [(float(svg.LEFT), base)]
    for at, count in enumerate(found):
        level = base - (_STRIP - 2) * count / most
        shape += [(svg.LEFT + span * at / _BINS, level), (svg.LEFT + span * (at + 1) / _BINS, level)]
    parts = svg.row_label(entry.tag, entry.label, top + 11, entry.colour)
    parts.append(svg.path([*shape, (float(svg.RIGHT), base)], f"c{entry.colour} area", closed=True))
    marks = (("p50", latency.p50_ms), ("p90", latency.p90_ms), ("p99", latency.p99_ms))
    for name, value in marks:
        x = scale(value)
        title = svg.element("title", f"{name} {plain(value)} ms")
        parts.append(svg.element("line", title, x1=x, x2=x, y1=base - _STRIP, y2=base + 2, class_=f"mark {name}"))
    figures = " · ".join(f"{name} {plain(value)}" for name, value in marks) + f" ms · n {latency.n}"
    parts.append(svg.note(figures, base + 13))
    return svg.element("g", *parts, data_tag=entry.tag)
