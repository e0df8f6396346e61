"""Relative inverse depth to metres: the scale and shift that fit it to ground truth best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# In 1/m: nothing is taken to be farther than a kilometre.
LEAST_INVERSE_DEPTH = 1e-3

ALIGNMENT = "least squares of scale and shift in inverse depth"


@dataclass(frozen=True, eq=False)
class Aligned:
    """``depth_m``: float64 [n], one per valid pixel in row order, within the range that was asked for."""

    depth_m: NDArray[np.float64]
    scale: float
    shift: float


@dataclass(frozen=True)
class Unaligned:
    """There is no such scale and shift, and why."""

    reason: str


def align(
    depth: NDArray[np.float32],
    truth_m: NDArray[np.float32],
    valid: NDArray[np.bool_],
    depth_range_m: tuple[float, float],
    max_side: int | None = None,
) -> Aligned | Unaligned:
    """Fit ``scale * depth + shift`` to 1 / ``truth_m`` by least squares in float64, and turn the result into metres.

    depth: float32 [h, w], relative inverse depth, larger is nearer. truth_m: float32 [h, w], above 0 where valid
    max_side: fit on every k-th pixel, so that neither side has more than this; None for all pixels
    The fit is over valid pixels with depth > 0. Aligned inverse depth below 1e-3 counts as 1e-3; depth is clamped to
    ``depth_range_m``, whose second number is infinite for no limit.
    Source: the protocol of Marigold (Ke et al. 2024, arXiv 2312.02145), in inverse depth as for MiDaS and Depth
    Anything.
    """
    if not valid.any():
        return Unaligned("no pixel of its ground truth is valid")
    used = depth[valid].astype(np.float64)
    if not np.isfinite(used).all():
        return Unaligned("its depth has NaN or infinite values")
    rows, columns = _sparse(depth.shape[0], depth.shape[1], max_side)
    fitted = valid[np.ix_(rows, columns)] & (depth[np.ix_(rows, columns)] > 0)
    points = depth[np.ix_(rows, columns)][fitted].astype(np.float64)
    if points.size < 2:
        return Unaligned(f"valid pixels with depth above 0: {points.size}, two at least are needed")
    goal = 1 / truth_m[np.ix_(rows, columns)][fitted].astype(np.float64)
    centred = points - points.mean()
    variance = float(centred @ centred)
    if not variance > (np.finfo(np.float32).eps * np.abs(points).max()) ** 2:
        return Unaligned("its depth is the same everywhere")
    scale = float(centred @ (goal - goal.mean())) / variance
    shift = float(goal.mean() - scale * points.mean())
    inverse = np.maximum(scale * used + shift, LEAST_INVERSE_DEPTH)
    return Aligned(np.clip(1 / inverse, *depth_range_m), scale, shift)


def _sparse(height: int, width: int, max_side: int | None) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of a nearest-neighbour downscaling, as torch's "nearest" takes them."""
    factor = 1.0 if max_side is None else max(1.0, max(height, width) / max_side)
    rows = np.floor(np.arange(int(height / factor)) * factor).astype(np.intp)
    return rows, np.floor(np.arange(int(width / factor)) * factor).astype(np.intp)
