"""The public sets and their protocol, in one table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SetName = Literal["nyu", "kitti", "eth3d", "diode", "scannet", "folder", "da2k"]


@dataclass(frozen=True)
class DepthSet:
    """How one set is scored.

    ``images``: how many the protocol scores, None where that is the user's. ``depth_range_m``: to which depth is
    clamped; the second is infinite for no limit. ``range_is_mask``: whether ground truth outside of it is invalid.
    ``crop``: in words, and ``inside``: rows and columns of an image of (h, w) that are scored, for slicing.
    ``alignment_max_side``: scale and shift are fitted on every k-th pixel, so that no side has more.
    """

    name: SetName
    images: int | None
    depth_range_m: tuple[float, float]
    range_is_mask: bool = True
    crop: str | None = None
    inside: Callable[[int, int], tuple[slice, slice]] | None = None
    alignment_max_side: int | None = None

    @property
    def recorded_range_m(self) -> tuple[float, float]:
        """``depth_range_m`` for a record, which has no infinity: 0 for no limit."""
        low, high = self.depth_range_m
        return low, 0.0 if math.isinf(high) else high

    def scored(self, depth_m: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Which pixels of ground truth count: bool [h, w] for float32 [h, w] in metres and the file's own mask."""
        low, high = self.depth_range_m
        valid = np.isfinite(depth_m) & (depth_m > 0)
        if self.range_is_mask:
            valid &= (depth_m > low) & (depth_m < high)
        if mask is not None:
            valid &= mask
        if self.inside is not None:
            cropped = np.zeros_like(valid)
            place = self.inside(*depth_m.shape)
            cropped[place] = valid[place]
            valid = cropped
        return valid


def _nyu_eigen(_height: int, _width: int) -> tuple[slice, slice]:
    return slice(45, 471), slice(41, 601)


def _kitti_eigen(height: int, width: int) -> tuple[slice, slice]:
    # These constants, of Eigen et al. 2014, are shares of the image after the benchmark's crop.
    rows = slice(int(0.3324324 * height), int(0.91351351 * height))
    return rows, slice(int(0.0359477 * width), int(0.96405229 * width))


KITTI_HEIGHT_PX, KITTI_WIDTH_PX = 352, 1216


def kitti_benchmark(height: int, width: int) -> tuple[slice, slice] | None:
    """The KITTI benchmark's crop: the lowest 352 rows and the middle 1216 columns; None for a smaller image."""
    top, left = height - KITTI_HEIGHT_PX, (width - KITTI_WIDTH_PX) // 2
    return None if min(top, left) < 0 else (slice(top, height), slice(left, left + KITTI_WIDTH_PX))


# Ranges, crops and numbers of images: the affine-invariant evaluation of Marigold (Ke et al. 2024, arXiv 2312.02145)
# and its data readers, which later work follows. The crop of NYUv2: Eigen et al. 2014.
SETS: dict[str, DepthSet] = {
    "nyu": DepthSet("nyu", 654, (1e-3, 10.0), crop="Eigen: rows 45 to 470, columns 41 to 600", inside=_nyu_eigen),
    "kitti": DepthSet(
        "kitti",
        652,  # of the 697 of the Eigen test list; 45 have no ground truth
        (1e-5, 80.0),
        crop="KITTI benchmark 352x1216 of image and ground truth, then Eigen's of ground truth",
        inside=_kitti_eigen,
    ),
    "eth3d": DepthSet("eth3d", 454, (1e-5, math.inf), alignment_max_side=1024),
    "diode": DepthSet("diode", 771, (0.6, 350.0), range_is_mask=False),
    "scannet": DepthSet("scannet", 800, (1e-3, 10.0)),
    "folder": DepthSet("folder", None, (1e-3, math.inf)),
    "da2k": DepthSet("da2k", None, (0.0, math.inf)),  # pairs of points, no depth in metres
}
