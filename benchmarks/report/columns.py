"""Columns of a table, which the page and the Markdown show alike."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ABSENT = "\N{EN DASH}"


@dataclass(frozen=True)
class Cell:
    """``text``: for people, ``detail`` small below it. ``order``: what the column is sorted by; None sorts last.

    ``bad``: the detail is a reason for doubt.
    """

    text: str
    order: float | str | None
    detail: str = ""
    bad: bool = False


@dataclass(frozen=True)
class Column:
    """``unit`` stands below ``title``. ``numeric``: its cells are set flush right and sorted as numbers."""

    title: str
    unit: str
    numeric: bool
    cells: tuple[Cell, ...]

    @property
    def empty(self) -> bool:
        """Whether no row has anything in it."""
        return all(cell.text == ABSENT for cell in self.cells)


def figure_column(title: str, unit: str, values: Sequence[float | None]) -> Column:
    """Numbers, all with as many decimals as the smallest needs for three digits, two at most; None: not known."""
    known = [abs(value) for value in values if value]
    decimals = min(max(2 - math.floor(math.log10(min(known))), 0), 2) if known else 0
    cells = (Cell(ABSENT if value is None else f"{value:.{decimals}f}", value) for value in values)
    return Column(title, unit, True, tuple(cells))


def word_column(title: str, texts: Iterable[str], details: Iterable[str] | None = None) -> Column:
    """Texts, and what stands below each."""
    every = list(texts)
    below = list(details) if details is not None else [""] * len(every)
    return Column(title, "", False, tuple(Cell(text, text, detail) for text, detail in zip(every, below, strict=True)))


def size_column(sizes: Iterable[str]) -> Column:
    """Sizes such as "518x686", sorted by how many pixels they have."""
    known = ((size, parse_size(size)) for size in sizes)
    cells = (Cell(size, None if sides is None else float(math.prod(sides))) for size, sides in known)
    return Column("size", "h x w", True, tuple(cells))


def count_column(title: str, counts: Iterable[int]) -> Column:
    """Whole numbers."""
    return Column(title, "", True, tuple(Cell(str(count), count) for count in counts))


def rest_of(interval: int) -> str:
    """The semantic interval in words; empty where the semantic encoder never rests."""
    return f"semantics 1/{interval}" if interval > 1 else ""


def parse_size(size: str) -> tuple[int, int] | None:
    """Height and width of "518x686" in pixels; None if it is not of this form."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})x([1-9][0-9]{0,5})", size)
    return None if found is None else (int(found[1]), int(found[2]))
