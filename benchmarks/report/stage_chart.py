"""The chart of stages: where the time of a request goes. Clocks of host and device are never in one bar."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from briges.benchmarks.report import svg
from briges.benchmarks.report.entries import Entry
from briges.benchmarks.report.scales import Scale, scale_over
from briges.benchmarks.rows import Clock, Stage

_CLOCKS: tuple[Clock, ...] = ("host", "device")
_SHADES = 6
_LINE = 72  # characters of a legend that fit into the width


def stage_chart(entries: Sequence[Entry]) -> Markup | None:
    """Medians of the stages, stacked; a bar for each clock, which are never added up."""
    bars = [
        (entry, clock, stages)
        for entry in entries
        for clock in _CLOCKS
        if (stages := [stage for stage in entry.row.stages if stage.clock == clock and stage.samples_ms])
    ]
    if not bars:
        return None
    names = list(dict.fromkeys(stage.name for _, _, stages in bars for stage in stages))
    totals = [sum(statistics.median(stage.samples_ms) for stage in stages) for _, _, stages in bars]
    scale = scale_over([*totals, 0.0], svg.LEFT, svg.RIGHT, from_zero=True)
    parts, y = [], 12.0
    before = None
    for entry, clock, stages in bars:
        inside, height = _stage_bar(entry, clock, stages, names, scale, y, entry is not before)
        parts.append(inside)
        before = entry
        y += height
    axis = svg.axis(scale, 0, y - 4, "median of each stage, ms")
    return svg.chart(y + 30, "Medians of the stages of every row, host and device clocks apart", [*axis, *parts])


def _stage_bar(
    entry: Entry, clock: Clock, stages: Sequence[Stage], names: Sequence[str], scale: Scale, y: float, first: bool
) -> tuple[Markup, float]:
    """One bar with what is written around it, and how much height it takes."""
    parts = svg.row_label(entry.tag, entry.label, y, entry.colour) if first else []
    top = y + 5 if first else y - 6
    total = 0.0
    told = []
    for stage in stages:
        median = statistics.median(stage.samples_ms)
        shade = f"c{entry.colour} shade{names.index(stage.name) % _SHADES}"
        title = f"{stage.name}: {median:.3g} ms, {clock} clock"
        parts.append(svg.bar(scale(total), top, scale(total + median) - scale(total), 14, shade, title))
        told.append((shade, f"{stage.name} {median:.3g}"))
        total += median
    lines = _wrapped(told, first=f"{clock} clock:")
    for at, line in enumerate(lines):
        parts.append(_legend(line, top + 26 + 13 * at))
    return svg.element("g", *parts, data_tag=entry.tag), (22 if first else 14) + 10 + 13 * len(lines) + 8


def _wrapped(told: Iterable[tuple[str, str]], *, first: str) -> list[list[tuple[str, str]]]:
    """The parts of a legend, in lines that fit."""
    lines: list[list[tuple[str, str]]] = [[("", first)]]
    used = len(first)
    for shade, text in told:
        if used + len(text) + 4 > _LINE:
            lines.append([])
            used = 0
        lines[-1].append((shade, text))
        used += len(text) + 4
    return lines


def _legend(line: Iterable[tuple[str, str]], y: float) -> Markup:
    spans = []
    for shade, text in line:
        square = svg.element("tspan", "■", class_=shade, dx=6) if shade else Markup("")
        spans += [square, svg.element("tspan", text, dx=3 if shade else 0)]
    return svg.element("text", *spans, x=svg.LEFT, y=y, class_="note")
