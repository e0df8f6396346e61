"""`briges bench report`: results as one page."""

from __future__ import annotations

import click

from briges.runtime.main import requires


@requires("bench", "jinja2")
@click.command()
def report() -> None:
    """Make one page of results."""
