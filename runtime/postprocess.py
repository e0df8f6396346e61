"""The network's output to a depth map of the photograph's size, and to pictures of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Names of OpenCV's colour tables, best known first.
COLORMAPS = ("inferno", "magma", "viridis", "plasma", "turbo", "cividis", "jet", "bone")


def restore_size(
    depth: NDArray[np.float32], height: int, width: int, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Bilinear resize (half-pixel centres, no antialiasing) of inverse depth [h, w] to [height, width].

    out: float32 [height, width] to write into; a new array otherwise. Returns the array written.
    """
    import cv2

    result = np.empty((height, width), np.float32) if out is None else out
    # OpenCV ignores a dst of another type or shape, and returns another array.
    assert depth.dtype == result.dtype == np.float32
    assert result.shape == (height, width)
    cv2.resize(depth, (width, height), dst=result, interpolation=cv2.INTER_LINEAR)
    return result


def normalise(depth: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, float]:
    """Min-max to 0..1 for display; returns it with the minimum and the maximum. A constant map becomes zeros."""
    low, high = float(depth.min()), float(depth.max())
    span = high - low
    return ((depth - low) / span if span > 0 else np.zeros_like(depth)), low, high


def to_uint16(depth: NDArray[np.float32]) -> tuple[NDArray[np.uint16], float, float]:
    """Inverse depth to the full range of 16 bits; value = low + pixel / 65535 * (high - low)."""
    scaled, low, high = normalise(depth)
    return np.rint(scaled * 65535).astype(np.uint16), low, high


def colourise(depth: NDArray[np.float32], colormap: str) -> NDArray[np.uint8]:
    """Inverse depth [H, W] to uint8 RGB [H, W, 3] with one of COLORMAPS: near is the bright or warm end."""
    import cv2

    table: Any = getattr(cv2, f"COLORMAP_{colormap.upper()}")
    scaled, _, _ = normalise(depth)
    coloured = cv2.applyColorMap(np.rint(scaled * 255).astype(np.uint8), table)
    return np.ascontiguousarray(coloured[:, :, ::-1])  # OpenCV answers in BGR
