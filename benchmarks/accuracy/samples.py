"""One image of a dataset, read when it is its turn."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from briges.benchmarks.accuracy.depth_files import DepthUnit, read_depth, read_mask
from briges.benchmarks.accuracy.layouts import FileSet, find_files, read_list
from briges.benchmarks.accuracy.sets import SETS, DepthSet, kitti_benchmark
from briges.runtime.errors import DatasetError
from briges.runtime.images import read_image

Value = TypeVar("Value", bound=np.generic)

logger = logging.getLogger("briges")

# How far aspects may differ: ScanNet's photographs are 968x1296, its depth is 480x640, 0.4 % apart.
_ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True, eq=False)
class Truth:
    """``depth_m``: float32 [h, w] in metres. ``valid``: bool [h, w], which pixels count; depth is above 0 there."""

    depth_m: NDArray[np.float32]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """An image of ``depth_set`` with its files. ``name`` is unique in the set."""

    name: str
    depth_set: DepthSet
    files: FileSet
    unit: DepthUnit | None = None

    def read_image(self) -> NDArray[np.uint8]:
        """What the network is given: uint8 RGB [h, w, 3]; of KITTI the benchmark's crop. Raises ImageError, or
        DatasetError for a photograph smaller than that crop.
        """
        return self._cropped(read_image(self.files.image))

    def read_truth(self, image_size: tuple[int, int]) -> Truth:
        """Ground truth for a photograph of ``image_size`` (h, w). Raises DatasetError if it cannot be used."""
        if self.files.depth is None:
            raise self._refused("has no ground truth", "ground truth for every photograph")
        depth_m = self._cropped(read_depth(self.depth_set.name, self.files.depth, self.unit, image_size))
        mask = None if self.files.mask is None else read_mask(self.files.mask)
        if mask is not None and mask.shape != depth_m.shape:
            raise self._refused(f"depth is {_size(depth_m)} and its mask {_size(mask)}", "a mask of the depth's size")
        height, width = image_size
        if abs(depth_m.shape[1] / depth_m.shape[0] * height / width - 1) > _ASPECT_TOLERANCE:
            came = f"the photograph is {height}x{width} and its ground truth {_size(depth_m)}"
            raise self._refused(came, "the same aspect; the size may be another")
        return Truth(depth_m, self.depth_set.scored(depth_m, mask))

    def _cropped(self, values: NDArray[Value]) -> NDArray[Value]:
        if self.depth_set.name != "kitti":
            return values
        place = kitti_benchmark(*values.shape[:2])
        if place is None:
            raise self._refused(f"{_size(values)} pixels", "at least the KITTI benchmark's 352x1216")
        return np.ascontiguousarray(values[place])

    def _refused(self, came: str, expected: str) -> DatasetError:
        return DatasetError(
            subject=f"image {self.name}",
            came=came,
            expected=expected,
            cure="complete the dataset, or leave the image out of it",
        )


def _size(values: NDArray[Value]) -> str:
    return f"{values.shape[0]}x{values.shape[1]}"


def open_dataset(
    name: str, root: Path, *, unit: DepthUnit | None = None, file_list: Path | None = None, limit: int | None = None
) -> list[Sample]:
    """The images of the set ``name`` below ``root``, or those that ``file_list`` names; the first ``limit`` of them.

    Photographs without ground truth are among them, and are told when it is their turn. Warns if they are not as many
    as the protocol scores, since figures of another choice cannot be compared with published ones.
    Raises DatasetError for an empty or unknown dataset.
    """
    depth_set = SETS[name]
    files = (read_list(root, file_list) if file_list else find_files(depth_set.name, root))[:limit]
    if depth_set.images not in (None, len(files)):
        logger.warning(
            "%s has %d images and the protocol scores %s: these figures cannot be compared with published ones",
            depth_set.name,
            len(files),
            depth_set.images,
        )
    return [Sample(entry.name, depth_set, entry, unit) for entry in files]
