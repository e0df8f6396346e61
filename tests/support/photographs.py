"""Photographs of many aspects: crops of the packaged ones, and the real files where the test data is present."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from briges.runtime.photographs import load_photographs

# Of 4:3, KITTI's 1242:375, a square, a portrait and 16:9; and one that is made smaller rather than larger.
ASPECTS = ("4:3", "kitti", "square", "portrait", "16:9", "large")


def photograph(aspect: str) -> NDArray[np.uint8]:
    """uint8 [h, w, 3] RGB of one of ASPECTS."""
    astronaut, coffee = load_photographs()
    return {
        "4:3": astronaut[:288],
        "kitti": coffee[100:245],
        "square": astronaut,
        "portrait": coffee[:, 100:320],
        "16:9": coffee[20:290],
        "large": np.tile(astronaut, (3, 4, 1))[:1110],
    }[aspect]


def real_photographs(test_data: Path) -> dict[str, NDArray[np.uint8]]:
    """Name to uint8 [h, w, 3] RGB of every photograph of the test data."""
    files = sorted((test_data / "images").glob("*.jpg"))
    assert files, f"no photographs in {test_data}"
    return {file.name: np.asarray(Image.open(file).convert("RGB")) for file in files}
