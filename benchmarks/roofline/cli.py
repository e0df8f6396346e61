"""`briges bench model`: a roofline estimate."""

from __future__ import annotations

import click


@click.command()
def model() -> None:
    """Estimate the latency of a preset on a device."""
