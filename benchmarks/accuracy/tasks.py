"""What can be asked of one depth map: how far it is from ground truth in metres."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from briges.benchmarks.accuracy.alignment import ALIGNMENT, Unaligned, align
from briges.benchmarks.accuracy.estimate import at_size
from briges.benchmarks.accuracy.metrics import WITH_UNIT, depth_metrics
from briges.benchmarks.accuracy.rows import ImageScore
from briges.benchmarks.accuracy.samples import Sample

TaskName = Literal["affine-invariant", "ordinal", "reference"]


class Task(Protocol):
    """Scores images, one by one."""

    name: TaskName
    alignment: str
    ranking: str  # the metric by which pictures are chosen
    beside_name: str  # what ``beside`` gives, for people

    def score(self, sample: Sample, image: NDArray[np.uint8], depth: NDArray[np.float32]) -> ImageScore:
        """The score of ``depth``, float32 [h, w], of ``image``, uint8 RGB [h, w, 3].

        What cannot be scored is skipped, with the reason in the score. Raises DatasetError for files that cannot be
        used.
        """

    def beside(self, sample: Sample, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """What a picture shows beside the depth: inverse depth, float32 [h, w], 0 where unknown; None for nothing."""


class AffineInvariant:
    """Depth in metres after scale and shift were fitted: ``alignment``, then every metric of ``metrics``."""

    name: TaskName = "affine-invariant"
    alignment = f"{ALIGNMENT} over valid pixels with depth above 0; inverse depth at least 0.001; range clamped"
    ranking = "abs_rel"
    beside_name = "ground truth"

    def score(self, sample: Sample, image: NDArray[np.uint8], depth: NDArray[np.float32]) -> ImageScore:
        """As of ``Task``. Without the metrics of a unit where ground truth is a disparity, which has none."""
        truth = sample.read_truth(image.shape[:2])
        kind = sample.depth_set
        found = align(
            at_size(depth, truth.depth_m.shape),
            truth.depth_m,
            truth.valid,
            kind.depth_range_m,
            kind.alignment_max_side,
        )
        if isinstance(found, Unaligned):
            return skip(sample, found.reason)
        metrics = depth_metrics(found.depth_m, truth.depth_m[truth.valid].astype(np.float64))
        if sample.unit == "disparity":
            metrics = {name: value for name, value in metrics.items() if name not in WITH_UNIT}
        return ImageScore(sample.name, metrics, found.scale, found.shift, None)

    def beside(self, sample: Sample, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """The ground truth that counts, as inverse depth."""
        truth = sample.read_truth(image.shape[:2])
        return np.divide(1, truth.depth_m, out=np.zeros_like(truth.depth_m), where=truth.valid)


def skip(sample: Sample, reason: str) -> ImageScore:
    """The score of an image that cannot be scored."""
    return ImageScore(sample.name, {}, None, None, reason)
