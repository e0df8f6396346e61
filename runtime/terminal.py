"""What every command prints the same way: progress of long steps, and warnings nobody may overlook."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import click

from briges.runtime.manifest import ModelSpec, notices


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show the current step with its running time on stderr; gives the function that names the next step.

    Where stderr is no terminal, each step is a plain line, so that logs show where time went.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: click.echo(f"{step} …", err=True)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:

        def on_step(step: str) -> None:
            for task in bar.tasks:
                bar.update(task.id, total=1, completed=1)
            bar.add_task(step, total=None)

        yield on_step
        for task in bar.tasks:
            bar.update(task.id, total=1, completed=1)


def warn(model: ModelSpec) -> None:
    """Print the model's notices, such as random weights, where they cannot be missed."""
    for notice in notices(model):
        click.secho(f"WARNING: {notice}", fg="yellow", bold=True, err=True)
