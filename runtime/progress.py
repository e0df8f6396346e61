"""What a long run shows on stderr: a bar over its inputs, and above it what the library logs as a warning."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator

import click


class _WarningPrinter(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.secho(f"WARNING: {record.getMessage()}", fg="yellow", bold=True, err=True)


@contextlib.contextmanager
def warnings_shown() -> Iterator[None]:
    """Print logged warnings, such as random weights, so that they cannot be overlooked."""
    logger, printer = logging.getLogger("briges"), _WarningPrinter(logging.WARNING)
    logger.addHandler(printer)
    try:
        yield
    finally:
        logger.removeHandler(printer)


def _show_nothing(_done: float) -> None:
    pass


@contextlib.contextmanager
def progress_bar(total: int) -> Iterator[Callable[[float], None]]:
    """Show a bar on a terminal, nothing elsewhere. Gives a function that takes how many of ``total`` are done."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:  # Progress(disable=True) prints an empty line with older releases of rich
        yield _show_nothing
        return
    columns = (TextColumn("depth"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("depth", total=total)
        yield lambda done: bar.update(task, completed=done)
