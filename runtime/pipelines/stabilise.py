"""Flicker of depth from frame to frame: measured, and taken out where it is one of scale and shift."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from briges.runtime.errors import ImageError
from briges.runtime.semantics import GRID, SCENE_CHANGE, green_grid, scene_change

# Share of a new frame in the reference.
_NEW_SHARE = 0.1
_ITERATIONS = 10
# Huber's constant: 95 % efficient where errors are normal. 1.4826 makes a median deviation a standard deviation.
_HUBER, _NORMAL = 1.345, 1.4826
# A reference that drifts over hours may not take the depth with it.
_MOST_SCALE = 4.0
# A colour that changed by less, of 255, is of a pixel that stands still: above the noise of cameras and codecs.
_STATIC_CHANGE = 8


class Stabiliser:
    """Brings each frame's depth to the scale and shift of those before it, which the network chooses anew per frame.

    Frame and reference are compared on a 64x64 grid: depth = scale * reference + shift by least squares with Huber
    weights, so that what moves does not count, and undone. The reference is the exponential moving average of what
    comes out, the new frame's share 0.1. It starts afresh when ``briges.runtime.semantics.scene_change`` to the frame
    before is above 0.1 (of 1) or the size changes. For one video or camera; frames in order.

    ``limits``: minimum and maximum of what came out, averaged in the same way, to colour by: colours that span each
    frame's own range would bring the flicker back.
    """

    def __init__(self) -> None:
        self._reference: NDArray[np.float64] | None = None
        self._view: NDArray[np.uint8] | None = None
        self._shape: tuple[int, ...] = ()
        self.limits = (0.0, 0.0)

    def __call__(self, depth: NDArray[np.float32], image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Align inverse depth [H, W] of ``image``, uint8 RGB [H, W, 3]; returns a new float32 [H, W], >= 0."""
        view, grid = green_grid(image), _grid(depth)
        fresh = self._view is None or self._shape != depth.shape or scene_change(self._view, view) > SCENE_CHANGE
        self._view, self._shape = view, depth.shape
        if fresh or self._reference is None:
            self._reference = grid
            result = np.maximum(depth, np.float32(0))
            self.limits = float(result.min()), float(result.max())
            return result
        scale, shift = _robust_line(self._reference, grid)
        aligned = (grid - shift) / scale
        self._reference = _moved(self._reference, aligned)
        result = np.maximum((depth - np.float32(shift)) / np.float32(scale), np.float32(0))
        self.limits = _moved(self.limits[0], float(result.min())), _moved(self.limits[1], float(result.max()))
        return result


Average = TypeVar("Average", float, NDArray[np.float64])


def _moved(average: Average, new: Average) -> Average:
    return (1 - _NEW_SHARE) * average + _NEW_SHARE * new


def _grid(depth: NDArray[np.float32]) -> NDArray[np.float64]:
    rows, columns = ((2 * np.arange(GRID) + 1) * side // (2 * GRID) for side in depth.shape)
    return depth[rows[:, None], columns[None, :]].astype(np.float64)


def _robust_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Scale and shift of y = scale * x + shift by iteratively reweighted least squares, outliers weighing little.

    The averaged reference is ``x`` and the frame ``y``, not the other way round: least squares takes the noise to be in
    ``y``, and would shrink the depth a little per frame, for ever, if it were in ``x``.
    """
    scale, shift = 1.0, float(np.median(y) - np.median(x))
    weights = np.ones_like(x)
    for _ in range(_ITERATIONS):
        total = weights.sum()
        x_mean, y_mean = float((weights * x).sum() / total), float((weights * y).sum() / total)
        spread = float((weights * (x - x_mean) ** 2).sum())
        slope = float((weights * (x - x_mean) * (y - y_mean)).sum()) / spread if spread > 0 else 1.0
        scale = min(max(slope, 1 / _MOST_SCALE), _MOST_SCALE)
        shift = y_mean - scale * x_mean
        errors = np.abs(y - scale * x - shift)
        limit = _HUBER * _NORMAL * float(np.median(errors))
        if limit <= 0:
            break
        weights = np.minimum(1.0, limit / np.maximum(errors, limit))
    return scale, shift


def flicker(images: Iterable[NDArray[np.uint8]], depths: Iterable[NDArray[np.float32]]) -> float:
    """How much depth changes where the picture does not, as a share of its range; 0 is none.

    images: uint8 RGB [H, W, 3], depths: [H, W], frame by frame, at least two. For each two consecutive frames, the mean
    of abs(depth - depth before) over static pixels, those whose three colours all changed by less than 8 of 255; the
    mean of that over the pairs, divided by the mean over the frames of the depth's range (maximum - minimum).
    Raises ImageError if no pixel is static in any pair.
    """
    changes, ranges = [], []
    before: tuple[NDArray[np.int16], NDArray[np.float32]] | None = None
    for image, depth in zip(images, depths, strict=True):
        signed = image.astype(np.int16)
        ranges.append(float(depth.max() - depth.min()))
        if before is not None:
            static = (np.abs(signed - before[0]) < _STATIC_CHANGE).all(axis=2)
            if static.any():
                changes.append(float(np.abs(depth - before[1])[static].mean(dtype=np.float64)))
        before = signed, depth
    if not changes:
        raise ImageError(
            subject="flicker",
            came=f"{len(ranges)} frames without a pixel that stands still",
            expected="at least two frames of one view",
            cure="measure it on a video of a camera that stands still",
        )
    mean_range = float(np.mean(ranges))
    return float(np.mean(changes)) / mean_range if mean_range > 0 else 0.0
