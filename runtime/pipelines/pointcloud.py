"""Depth of one picture to a coloured point cloud, a PLY file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from briges.runtime.errors import ImageError, UsageError
from briges.runtime.files import replacing

# The default puts the nearest point at 1 and the farthest here.
_FAR = 20.0
_VERTEX = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])


_MOST_PX = 1e6


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera, in pixels of the source image: focal lengths, from 1 to 1e6, and principal point.

    Pixel centres have whole coordinates, as OpenCV counts: the first one of the first row is at (0, 0).
    """

    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float

    def __post_init__(self) -> None:
        values = (self.fx_px, self.fy_px, self.cx_px, self.cy_px)
        # Beyond these no image has a pixel that sees anything, and coordinates leave float32.
        focal = all(1 <= value <= _MOST_PX for value in values[:2])
        if not (focal and all(abs(value) <= _MOST_PX for value in values[2:])):
            raise _not_intrinsics(",".join(f"{value:g}" for value in values))


def parse_intrinsics(text: str) -> Intrinsics:
    """Read "fx,fy,cx,cy". Raises UsageError for anything but four numbers that a camera can have."""
    try:
        fx_px, fy_px, cx_px, cy_px = map(float, text.split(","))
    except ValueError:
        raise _not_intrinsics(text) from None
    return Intrinsics(fx_px, fy_px, cx_px, cy_px)


def _not_intrinsics(came: str) -> UsageError:
    return UsageError(
        subject="intrinsics",
        came=repr(came),
        expected="fx,fy,cx,cy in pixels: the focal lengths fx and fy from 1 to 1e6, the centre within 1e6",
        cure="take them from the camera's calibration; without one, a phone's width in pixels is a fair fx and fy, and "
        "half the width and height are cx and cy",
    )


def write_ply(
    path: Path,
    depth: NDArray[np.float32],
    image: NDArray[np.uint8],
    intrinsics: Intrinsics,
    *,
    scale_shift: tuple[float, float] | None = None,
    notices: tuple[str, ...] = (),
) -> int:
    """Write a binary little-endian PLY with float x, y, z and uchar red, green, blue, and return its number of points.

    depth: inverse depth [H, W] of ``image``, uint8 RGB [H, W, 3], row by row. x points right, y down, z forward.
    scale_shift: z = 1 / (scale * depth + shift), in the unit these are for, as fitted to known distances; points of
        which that is not positive and finite are left out. None: such that the nearest point has z = 1 and the farthest
        20, in no unit; a flat depth map is put at 1.
    notices: what must be known before the depth is believed, as comments.
    Raises ImageError if image and depth differ in size, OutputError if it cannot be written.
    """
    if image.shape[:2] != depth.shape:
        raise ImageError(
            subject=f"point cloud {path}",
            came=f"depth {list(depth.shape)} and image {list(image.shape)}",
            expected="depth [H, W] of an image [H, W, 3]",
            cure="give the image that the depth was estimated from",
        )
    scale, shift = _nearest_at_one(depth) if scale_shift is None else scale_shift
    vertices = _vertices(depth, image, intrinsics, scale, shift)
    unit = "not metres" if scale_shift is None else "in the unit of scale and shift"
    comments = [
        f"relative, affine-invariant inverse depth; {unit}",
        f"z = 1 / ({scale!r} * depth + {shift!r}); x right, y down, z forward",
        *notices,
    ]
    header = "ply\nformat binary_little_endian 1.0\n"
    header += "".join(f"comment {' '.join(comment.split())}\n" for comment in comments)
    header += f"element vertex {len(vertices)}\n"
    header += "".join(f"property float {name}\n" for name in "xyz")
    header += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    with replacing(path) as temporary, temporary.open("wb") as stream:
        stream.write(f"{header}end_header\n".encode("ascii", "replace"))
        stream.write(vertices.tobytes())
    return len(vertices)


def _nearest_at_one(depth: NDArray[np.float32]) -> tuple[float, float]:
    low, high = float(depth.min()), float(depth.max())
    scale = (1 - 1 / _FAR) / (high - low) if high > low else 0.0
    return scale, 1 - scale * high


def _vertices(
    depth: NDArray[np.float32], image: NDArray[np.uint8], intrinsics: Intrinsics, scale: float, shift: float
) -> NDArray[np.void]:
    inverse = scale * depth.astype(np.float64) + shift
    kept = inverse > np.finfo(np.float32).tiny  # of less, 1 / inverse is no float32
    rows, columns = np.nonzero(kept)
    z = 1 / inverse[kept]
    vertices = np.empty(len(z), _VERTEX)
    vertices["xyz"][:, 0] = (columns - intrinsics.cx_px) / intrinsics.fx_px * z
    vertices["xyz"][:, 1] = (rows - intrinsics.cy_px) / intrinsics.fy_px * z
    vertices["xyz"][:, 2] = z
    vertices["rgb"] = image[kept]
    return vertices
