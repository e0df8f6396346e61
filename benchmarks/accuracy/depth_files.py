"""Ground truth from files: whatever their format, depth in metres."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from briges.benchmarks.accuracy.sets import SetName
from briges.runtime.errors import DatasetError

DepthUnit = Literal["mm", "m", "disparity"]

# KITTI: its development kit. ScanNet: the m_depthShift of its SensReader. NYUv2: as Marigold stores it.
_STEPS_PER_M = {"nyu": 1000.0, "kitti": 256.0, "scannet": 1000.0}


def read_depth(name: SetName, path: Path, unit: DepthUnit | None, image_size: tuple[int, int]) -> NDArray[np.float32]:
    """One file of ground truth: float32 [h, w] in metres, 0 where there is none.

    - nyu, scannet: 16-bit PNG in millimetres. kitti: 16-bit PNG in 1/256 m. diode: .npy in metres.
    - eth3d: no image whatever its name, but raw float32 in the size of the photograph, ``image_size`` (h, w); infinite
      where unknown (eth3d.net/documentation).
    - folder: ``unit``; None takes millimetres in files of integers and metres in those of floats. Of a disparity,
      which is in proportion to 1/depth, depth is in units of that of its median, so that limits in metres mean the same
      whatever its own unit. PNG, PGM, TIFF of 16 bit (a disparity may have 8), PFM, and .npy of any number type.
    Raises DatasetError if it cannot be read or is no such file.
    """
    if not path.is_file():
        raise _refused(path, "does not exist", "ground truth for every photograph")
    if name == "eth3d":
        raw = _read_raw(path, image_size)
    else:
        raw = _read_npy(path) if path.suffix.lower() == ".npy" else _read_picture(path, unit)
    values = raw.astype(np.float64)
    values[~np.isfinite(values) | (values <= 0)] = 0
    if name in _STEPS_PER_M:
        values /= _STEPS_PER_M[name]
    elif name == "folder":
        values = _in_metres(values, unit or ("mm" if raw.dtype.kind in "iu" else "m"))
    return values.astype(np.float32)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """DIODE's mask: bool [h, w] from .npy, which has 1 for valid. Raises DatasetError."""
    if not path.is_file():
        raise _refused(path, "does not exist", "a mask beside DIODE's depth")
    return _read_npy(path) > 0


def _in_metres(values: NDArray[np.float64], unit: DepthUnit) -> NDArray[np.float64]:
    if unit == "disparity":
        known = values > 0
        median = float(np.median(values[known])) if known.any() else 1.0
        return np.divide(median, values, out=np.zeros_like(values), where=known)
    return values / 1000 if unit == "mm" else values


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _refused(path, f"cannot be read: {error}", "a whole .npy file of numbers") from error
    if not isinstance(values, np.ndarray):
        raise _refused(path, "holds several arrays", "one array [h, w]")
    if values.ndim == 3 and values.shape[2] == 1:  # as DIODE's
        values = values[:, :, 0]  # [h, w, 1] -> [h, w]
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise _refused(path, f"holds {values.dtype} of {values.ndim} dimensions", "numbers [h, w]")
    return values


def _read_picture(path: Path, unit: DepthUnit | None) -> NDArray[Any]:
    import cv2

    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise _refused(path, "cannot be read, or is no PNG, PGM, TIFF or PFM", "a whole file of ground truth")
    kinds = ("uint8", "uint16", "float32") if unit == "disparity" else ("uint16", "float32")
    if values.ndim != 2 or values.dtype.name not in kinds:
        came = f"has {1 if values.ndim == 2 else values.shape[2]} channels of {values.dtype}"
        raise _refused(path, came, f"one channel of {' or '.join(kinds)}: a picture made to be looked at is no depth")
    return values


def _read_raw(path: Path, image_size: tuple[int, int]) -> NDArray[Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}", "a readable file") from error
    height, width = image_size
    if len(data) != 4 * height * width:
        raise _refused(
            path,
            f"has {len(data)} bytes, and its photograph is {height}x{width}",
            f"{4 * height * width} bytes: raw float32 of the size of the photograph",
        )
    return np.frombuffer(data, "<f4").reshape(height, width)


def _refused(path: Path, came: str, expected: str) -> DatasetError:
    return DatasetError(
        subject=f"ground truth {path}",
        came=came,
        expected=expected,
        cure="check --dataset and --depth-unit, or copy the file again",
    )
