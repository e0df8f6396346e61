"""Tables on stdout for people: in colour on a terminal, plain text of at most 80 columns elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A titled table; without ``columns`` it has no header, and its rows are names and values."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...] = ()


def print_sections(sections: Iterable[Section]) -> None:
    """Print the sections that have rows, one below the other. All but the last column keep their words together."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for section in sections:
        if not section.rows:
            continue
        table = Table(box=None, pad_edge=False, show_header=bool(section.columns), header_style="dim")
        width = len(section.rows[0])
        names = section.columns or ("",) * width
        for index, name in enumerate(names):
            last = index == width - 1
            table.add_column(name, no_wrap=not last, overflow="fold", style="" if last or index else "bold")
        for row in section.rows:
            table.add_row(*map(Text, row))  # as Text: square brackets in names and pip lines are no markup of rich
        console.print(f"\n{section.title}", style="bold cyan", markup=False)
        console.print(table)
