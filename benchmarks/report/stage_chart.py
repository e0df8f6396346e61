"""The chart of stages: where the time of a request goes. Clocks of host and device are never in one bar."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from briges.benchmarks.report import svg
from briges.benchmarks.report.entries import Entry
from briges.benchmarks.report.numbers import plain
from briges.benchmarks.report.scales import Scale, scale_over
from briges.benchmarks.rows import WITHOUT_GRAPH, Clock, Stage

_CLOCKS: tuple[Clock, ...] = ("host", "device")
_SHADES = 6
_LINE = 66  # characters of a legend that fit into the width


def stage_chart(entries: Sequence[Entry]) -> Markup | None:
    """Medians of the stages, stacked, each bar as wide as the chart.

    A bar for each clock, which are never added up; and one for engines that were timed in a run of their own.
    """
    bars = [
        (entry, clock, stages)
        for entry in entries
        for clock in _CLOCKS
        for apart in (False, True)
        if (
            stages := [
                one for one in entry.row.stages if one.clock == clock and _is_apart(one) == apart and one.samples_ms
            ]
        )
    ]
    if not bars:
        return None
    names = list(dict.fromkeys(stage.name for _, _, stages in bars for stage in stages))
    parts, y, before = [], 0.0, None
    for entry, clock, stages in bars:
        label = svg.row_label(entry.tag, entry.label, y + 12, entry.colour) if entry is not before else []
        y += 18 if label else 0
        drawn, height = _stage_bar(entry.colour, clock, stages, names, y)
        parts.append(svg.element("g", *label, *drawn, data_tag=entry.tag))
        before, y = entry, y + height
    axis = svg.axis(Scale(0, 100, svg.LEFT, svg.RIGHT, log=False), 0, y, "share of the sum of medians, %")
    return svg.chart(y + 34, "Medians of the stages of every row, host and device clocks apart", [*axis, *parts])


def _is_apart(stage: Stage) -> bool:
    return stage.name.endswith(WITHOUT_GRAPH)


def _stage_bar(
    colour: int, clock: Clock, stages: Sequence[Stage], names: Sequence[str], top: float
) -> tuple[list[Markup], float]:
    """One bar with what is written below it, and how much height it takes."""
    medians = [statistics.median_low(stage.samples_ms) for stage in stages]
    scale = scale_over([sum(medians)], svg.LEFT, svg.RIGHT, from_zero=True)
    parts, told, total = [], [], 0.0
    for stage, median in zip(stages, medians, strict=True):
        shade = f"c{colour} shade{names.index(stage.name) % _SHADES}"
        title = f"{stage.name}: {plain(median, 3)} ms, {clock} clock"
        parts.append(svg.bar(scale(total), top, scale(total + median) - scale(total), 14, shade, title))
        told.append((shade, f"{stage.name} {plain(median, 3)}"))
        total += median
    lines = _wrapped(told, first=f"{clock} clock:")
    parts += [_legend(line, top + 26 + 14 * at) for at, line in enumerate(lines)]
    return parts, 22 + 14.0 * len(lines)


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
    spans: list[Markup] = []
    for shade, text in line:
        square = svg.element("tspan", "■", class_=shade, dx=6 if spans else 0) if shade else Markup("")
        spans += [square, svg.element("tspan", text, dx=3 if shade else 0)]
    return svg.element("text", *spans, x=svg.LEFT, y=y, class_="note")
