"""The network's output to a depth map of the photograph's size, and to pictures of it."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from briges.runtime.errors import MissingExtraError

# Names of OpenCV's colour tables, best known first.
COLORMAPS = ("inferno", "magma", "viridis", "plasma", "turbo", "cividis", "jet", "bone")

# Of ``percentile_range``, here and on the GPU.
HISTOGRAM_BINS = 1024


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


def normalise(
    depth: NDArray[np.float32], value_range: tuple[float, float] | None = None
) -> tuple[NDArray[np.float32], float, float]:
    """To 0..1 for display, clipped; returns it with the low and the high end. A constant map becomes zeros.

    value_range: the values that become 0 and 1; minimum and maximum otherwise. Zeros where it is not in order.
    """
    low, high = (float(depth.min()), float(depth.max())) if value_range is None else value_range
    span = high - low
    if not span > 0:
        return np.zeros_like(depth), low, high
    scaled = (depth - low) / span
    return (scaled if value_range is None else np.clip(scaled, 0, 1)), low, high


def percentile_range(depth: NDArray[np.float32], low_percent: float, high_percent: float) -> tuple[float, float]:
    """A range without outliers, from a histogram of HISTOGRAM_BINS equal bins over minimum to maximum.

    depth: float32, finite, not empty. Value v is in bin min(int((v - min) * (bins / (max - min))), bins - 1), in
    float32. Returns the lower edge of the bin that holds the value of the low rank, and the upper edge of the high
    rank's, see ``percentile_ranks``. A constant map has its one value twice.
    """
    low, high = depth.min(), depth.max()
    if not high > low:
        return float(low), float(high)
    bins = np.float32(HISTOGRAM_BINS)
    places = np.minimum((depth - low) * (bins / (high - low)), bins - 1).astype(np.int32)
    cumulative = np.cumsum(np.bincount(places.ravel(), minlength=HISTOGRAM_BINS))
    low_bin, high_bin = np.searchsorted(cumulative, percentile_ranks(depth.size, low_percent, high_percent))
    width = (high - low) / bins
    return float(low + np.float32(low_bin) * width), float(low + np.float32(high_bin + 1) * width)


def percentile_ranks(count: int, low_percent: float, high_percent: float) -> tuple[int, int]:
    """The ranks, from 1, of two percentiles among ``count`` sorted values: the nearest not below percent of count."""
    return max(1, math.ceil(count * low_percent / 100)), max(1, math.ceil(count * high_percent / 100))


def to_uint16(depth: NDArray[np.float32]) -> tuple[NDArray[np.uint16], float, float]:
    """Inverse depth to the full range of 16 bits; value = low + pixel / 65535 * (high - low)."""
    scaled, low, high = normalise(depth)
    return np.rint(scaled * 65535).astype(np.uint16), low, high


def colourise(
    depth: NDArray[np.float32], colormap: str, value_range: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """Inverse depth [H, W] to uint8 RGB [H, W, 3] with one of COLORMAPS: near is the bright or warm end.

    value_range: the values of the first and the last colour; minimum and maximum otherwise.
    """
    import cv2

    table: Any = getattr(cv2, f"COLORMAP_{colormap.upper()}")
    scaled, _, _ = normalise(depth, value_range)
    coloured = cv2.applyColorMap(np.rint(scaled * 255).astype(np.uint8), table)
    return np.ascontiguousarray(coloured[:, :, ::-1])  # OpenCV answers in BGR


def colour_table(colormap: str) -> NDArray[np.uint8]:
    """One of COLORMAPS, far to near: uint8 RGB [256, 3]. Raises MissingExtraError without OpenCV, which has them."""
    if importlib.util.find_spec("cv2") is None:
        raise MissingExtraError(
            subject="colours",
            came="the package opencv is not installed",
            expected="OpenCV, whose colour tables these are",
            cure="pip install opencv-python-headless",
        )
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None]
    return colourise(ramp, colormap)[0]
