"""Datasets whose answer is known: the depth of the stub bundle, turned into metres by a known scale and shift."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from support.stub_bundle import luminance, own_size

SCALE, SHIFT = 0.002, 0.05  # of luminance 0..255: 1.8 to 20 metres


def exact_depth_m(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The ground truth that the stub bundle meets exactly, float32 [h, w] in metres."""
    return (1 / (SCALE * luminance(image).astype(np.float64) + SHIFT)).astype(np.float32)


def write_image(path: Path, image: NDArray[np.uint8]) -> Path:
    """Write uint8 RGB [h, w, 3]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def write_depth(path: Path, values: NDArray[Any]) -> Path:
    """Write ground truth as it is, in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        assert cv2.imwrite(str(path), values)
    return path


def write_exact_folder(root: Path, images: int) -> Path:
    """A `folder` dataset color/N.png and depth/N.npy in metres that the stub bundle meets exactly."""
    for index in range(images):
        image = own_size(index)
        write_image(root / "color" / f"{index}.png", image)
        write_depth(root / "depth" / f"{index}.npy", exact_depth_m(image))
    return root
