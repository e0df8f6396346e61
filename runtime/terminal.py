"""What every command prints the same way on stderr: progress, and warnings nobody may overlook."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator

import click


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show the current step with its running time; gives the function that names the next step.

    Where stderr is no terminal, each step is a plain line, so that logs show where time went.
    """
    with detailed_progress() as (on_step, _):
        yield on_step


@contextlib.contextmanager
def detailed_progress() -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """The same, with a second function that says how far the current step is; it shows on terminals alone."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: click.echo(f"{step} …", err=True), lambda _detail: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.fields[detail]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:

        def finish_steps() -> None:
            for task in bar.tasks:
                bar.update(task.id, total=1, completed=1, detail="")

        def on_step(step: str) -> None:
            finish_steps()
            bar.add_task(step, total=None, detail="")

        def on_detail(detail: str) -> None:
            if bar.tasks:
                bar.update(bar.tasks[-1].id, detail=detail)

        yield on_step, on_detail
        finish_steps()


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
        yield lambda _done: None
        return
    columns = (TextColumn("depth"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("depth", total=total)
        yield lambda done: bar.update(task, completed=done)


@contextlib.contextmanager
def download_bar(name: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Show a bar with speed; where stderr is no terminal, its last state. Gives what takes the bytes that are there."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    # On stderr, as stdout may be a pipe that wants the paths.
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(name, start=False, total=total_bytes)
        last = -1

        def report(done: int) -> None:
            nonlocal last
            # A left-over, or a start from 0, is not speed: it resets the clock instead of moving the bar.
            move = bar.reset if last < 0 or done < last else bar.update
            move(task, completed=done)
            last = done

        yield report


class _WarningPrinter(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _print_warning(record.getMessage())


@contextlib.contextmanager
def warnings_shown() -> Iterator[None]:
    """Print what the library logs as a warning, such as random weights, so that it cannot be overlooked."""
    logger, printer = logging.getLogger("briges"), _WarningPrinter(logging.WARNING)
    logger.addHandler(printer)
    try:
        yield
    finally:
        logger.removeHandler(printer)


def warn(notices: Iterable[str]) -> None:
    """Print notices, such as random weights, where they cannot be missed."""
    for notice in notices:
        _print_warning(notice)


def _print_warning(text: str) -> None:
    click.secho(f"WARNING: {text}", fg="yellow", bold=True, err=True)
