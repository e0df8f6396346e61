"""`briges eval`: accuracy of a bundle."""

from __future__ import annotations

import click

from briges.runtime.main import requires


@requires("bench", "cv2", "PIL")
@click.command("eval")
def evaluate() -> None:
    """Measure the accuracy of a bundle."""
