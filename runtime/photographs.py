"""A few real photographs that travel with the package, for checks that must not be made on noise."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray


def load_photographs() -> list[NDArray[np.uint8]]:
    """uint8 [h, w, 3] RGB arrays of different aspect, in a fixed order. Sources and licences: photographs/README.md."""
    from PIL import Image

    folder = resources.files("briges.runtime") / "photographs"
    photographs = []
    for item in sorted((entry for entry in folder.iterdir() if entry.name.endswith(".jpg")), key=lambda e: e.name):
        with item.open("rb") as stream:
            photographs.append(np.asarray(Image.open(stream).convert("RGB")))
    return photographs
