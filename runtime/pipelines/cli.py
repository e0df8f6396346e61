"""`briges stream`: a camera or a video, live."""

from __future__ import annotations

import click

from briges.runtime.main import requires


@requires("cpu", "cv2")
@click.command()
def stream() -> None:
    """Depth of a live source."""
