"""Pictures for the report: photograph, what it is compared with, and depth, side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from briges.benchmarks.accuracy.estimate import at_size
from briges.benchmarks.accuracy.metrics import HIGHER_IS_BETTER
from briges.benchmarks.accuracy.rows import ImageScore, Picture
from briges.runtime.postprocess import COLORMAPS, colourise

MAX_WIDTH_PX = 640
_QUALITY = 85


def choose(scores: Sequence[ImageScore], ranking: str, count: int) -> list[ImageScore]:
    """``count`` of the scores, from the worst by the metric ``ranking`` over the middle to the best, evenly spaced."""
    having = [score for score in scores if ranking in score.metrics]
    ordered = sorted(having, key=lambda score: score.metrics[ranking], reverse=ranking not in HIGHER_IS_BETTER)
    if len(ordered) <= count:
        return ordered
    places = [len(ordered) // 2] if count == 1 else np.linspace(0, len(ordered) - 1, count).round().astype(int)
    return [ordered[place] for place in places]


def draw(
    score: ImageScore,
    ranking: str,
    image: NDArray[np.uint8],
    beside: tuple[str, NDArray[np.float32]] | None,
    depth: NDArray[np.float32],
) -> Picture:
    """A JPEG at most 640 pixels wide. Colours as of `briges infer`, over each map's 1st to 99th percentile; black is
    unknown.

    image: uint8 RGB [h, w, 3]. beside: a name, and inverse depth, float32 of any size, 0 where unknown.
    depth: float32 [h, w]
    """
    import cv2
    from PIL import Image

    columns = 2 if beside is None else 3
    width = min(MAX_WIDTH_PX // columns, image.shape[1])
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    panels = [cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)]
    if beside is not None:
        # Nearest: an average of known and unknown depth would be neither.
        small = np.asarray(cv2.resize(beside[1], (width, height), interpolation=cv2.INTER_NEAREST), np.float32)
        panels.append(_coloured(small))
    panels.append(_coloured(at_size(depth, (height, width))))
    data = io.BytesIO()
    Image.fromarray(np.hstack(panels)).save(data, "JPEG", quality=_QUALITY)
    names = ["photograph", beside[0], "depth"] if beside is not None else ["photograph", "depth"]
    caption = f"{', '.join(names)}; {ranking} {score.metrics[ranking]:.3g}"
    return Picture(score.name, caption, base64.b64encode(data.getvalue()).decode())


def _coloured(inverse: NDArray[np.float32]) -> NDArray[np.uint8]:
    known = inverse > 0
    if not known.any():
        return np.zeros((*inverse.shape, 3), np.uint8)
    # A few points are much nearer than all others: with them the rest would be one colour.
    low, high = (float(value) for value in np.percentile(inverse[known], (1, 99)))
    return colourise(inverse, COLORMAPS[0], (low, high))  # 0 is below the first colour, which is black
