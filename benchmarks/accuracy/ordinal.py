"""Which of two points is nearer: ordinal accuracy as of DA-2K.

Layout (DA-2K.md of DepthAnything/Depth-Anything-V2): ``annotations.json`` maps the path of each image to a list of
``{"point1": [row, column], "point2": [row, column], "closer_point": "point1"}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from briges.benchmarks.accuracy.layouts import FileSet
from briges.benchmarks.accuracy.rows import ImageScore
from briges.benchmarks.accuracy.samples import Sample
from briges.benchmarks.accuracy.sets import SETS
from briges.benchmarks.accuracy.tasks import TaskName, skip
from briges.runtime.errors import DatasetError
from briges.runtime.records import RecordError, parse_json

ANNOTATIONS = "annotations.json"


@dataclass(frozen=True)
class Pair:
    """Two points, each (row, column), of which the first is nearer."""

    nearer: tuple[int, int]
    farther: tuple[int, int]


class Ordinal:
    """The share of pairs whose nearer point has the larger inverse depth. Every pair counts, not one per image."""

    name: TaskName = "ordinal"
    alignment = "none: larger inverse depth is nearer; a tie is wrong"
    ranking = "pair_accuracy"
    beside_name = ""

    def __init__(self, pairs: dict[str, tuple[Pair, ...]]) -> None:
        """pairs: by the name of the image."""
        self._pairs = pairs

    def score(self, sample: Sample, image: NDArray[np.uint8], depth: NDArray[np.float32]) -> ImageScore:
        """``pair_accuracy`` of the image and ``pairs``, how many it has. Skips depth that is not finite.

        Raises DatasetError for a point outside the image.
        """
        pairs = self._pairs[sample.name]
        if not np.isfinite(depth).all():
            return skip(sample, "its depth has NaN or infinite values")
        height, width = depth.shape
        for row, column in (point for pair in pairs for point in (pair.nearer, pair.farther)):
            if not (0 <= row < height and 0 <= column < width):
                raise _bad(sample.name, f"the point [{row}, {column}] of an image of {height}x{width}")
        right = sum(bool(depth[pair.nearer] > depth[pair.farther]) for pair in pairs)
        metrics = {"pair_accuracy": right / len(pairs), "pairs": float(len(pairs))}
        return ImageScore(sample.name, metrics, None, None, None)

    def beside(self, sample: Sample, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Nothing: pairs are no depth map."""
        return None


def open_pairs(root: Path, limit: int | None = None) -> tuple[list[Sample], Ordinal]:
    """The images that ``root``'s annotations.json names, the first ``limit`` of them, and the task of their pairs.

    Raises DatasetError if it is not there or of another layout.
    """
    path = root / ANNOTATIONS
    try:
        raw = parse_json(path.read_bytes())
    except OSError as error:
        raise _bad(str(path), f"cannot be read: {error.strerror or error}") from error
    except RecordError as error:
        raise _bad(str(path), str(error)) from error
    if not isinstance(raw, dict) or not raw:
        raise _bad(str(path), "names no image")
    pairs = {name: _parse(name, items) for name, items in list(raw.items())[:limit]}
    kind = SETS["da2k"]
    return [Sample(name, kind, FileSet(name, root / name, None, None)) for name in pairs], Ordinal(pairs)


def _parse(name: str, items: Any) -> tuple[Pair, ...]:
    if not isinstance(items, list) or not items:
        raise _bad(name, "no list of pairs")
    return tuple(_parse_pair(name, item) for item in items)


def _parse_pair(name: str, item: Any) -> Pair:
    try:
        first, second, closer = (item[key] for key in ("point1", "point2", "closer_point"))
        points = {"point1": _point(first), "point2": _point(second)}
        nearer = points.pop(closer)
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(name, f"a pair that is none: {item!r:.200}") from error
    return Pair(nearer, points.popitem()[1])


def _point(raw: Any) -> tuple[int, int]:
    row, column = raw
    if not isinstance(row, int) or not isinstance(column, int):
        raise ValueError(raw)
    return row, column


def _bad(subject: str, came: str) -> DatasetError:
    return DatasetError(
        subject=f"pairs of {subject}",
        came=came,
        expected=f"{ANNOTATIONS} of DA-2K: per image a list of point1, point2, closer_point; points are [row, column]",
        cure="name DA-2K's folder with --root",
    )
