"""Inline SVG: elements whose texts are escaped, and what every chart has: a title, an axis, a line that names a row.

Colours are classes of page.css, so that they follow the theme. Charts are WIDTH units wide and scale with the page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from briges.benchmarks.report.numbers import plain
from briges.benchmarks.report.scales import Scale

WIDTH = 440
LEFT, RIGHT = 4, WIDTH - 4
_LONGEST_LABEL = 58  # characters that fit into WIDTH


def element(name: str, *children: Markup | str, **attributes: object) -> Markup:
    """``<name attributes>children</name>``. ``class_`` gives class, ``text_anchor`` text-anchor; None is left out."""
    given = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _text(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), given, Markup("").join(escape(child) for child in children))


def chart(height: float, title: str, children: Iterable[Markup]) -> Markup:
    """A whole chart; ``title`` is what a screen reader says."""
    return element(
        "svg", *children, viewBox=f"0 0 {WIDTH} {_text(height)}", role="img", aria_label=title, class_="chart"
    )


def axis(scale: Scale, top: float, bottom: float, title: str) -> list[Markup]:
    """A horizontal axis below ``bottom``, 34 units high: lines up to ``top``, values, ``title`` with its unit."""
    parts = []
    for value in scale.ticks():
        x = scale(value)
        parts.append(element("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid"))
        anchor = "start" if x < LEFT + 12 else "end" if x > RIGHT - 12 else "middle"
        parts.append(element("text", plain(value, 6), x=x, y=bottom + 13, text_anchor=anchor, class_="tick"))
    name = f"{title}, logarithmic" if scale.log else title
    return [*parts, element("text", name, x=RIGHT, y=bottom + 28, text_anchor="end", class_="tick")]


def row_label(tag: str, label: str, y: float, colour: int | None) -> list[Markup]:
    """The line above a row of a chart, its baseline at ``y``: swatch, tag, and the label, cut to the width."""
    cut = label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"
    swatch = element(
        "rect", x=LEFT, y=y - 8, width=9, height=9, rx=2, class_="hollow" if colour is None else f"c{colour}"
    )
    text = element(
        "text",
        element("title", label),
        element("tspan", tag, class_="tag"),
        element("tspan", cut, dx=5),
        x=LEFT + 14,
        y=y,
        class_="label",
    )
    return [swatch, text]


def bar(x: float, y: float, width: float, height: float, class_: str, title: str) -> Markup:
    """A rectangle that tells ``title`` when pointed at."""
    return element("rect", element("title", title), x=x, y=y, width=max(width, 0.5), height=height, class_=class_)


def path(points: Sequence[tuple[float, float]], class_: str, *, closed: bool = False) -> Markup:
    """A line through ``points``."""
    steps = "L".join(f"{_text(x)} {_text(y)}" for x, y in points)
    return element("path", d=f"M{steps}{'Z' if closed else ''}", class_=class_)


def note(text: str, y: float, x: float = LEFT, anchor: str = "start") -> Markup:
    """A small line of text, its baseline at ``y``."""
    return element("text", text, x=x, y=y, text_anchor=anchor, class_="note")


def _text(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
