"""The reference pipeline's preprocessing once more, in float64: what the networks were trained with.

Written apart from ``briges.runtime.preprocess``. Depth branch: OpenCV's cubic kernel on floats. Semantic branch: an
antialiased triangle filter in NumPy where the runtime has Pillow, and torch's bilinear where it has OpenCV's.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])

Floats = NDArray[np.float64]


def canonical_size(height: int, width: int, target_height: int, target_width: int) -> tuple[int, int]:
    """(height, width) of the network input for a photograph: aspect kept, at least the target, multiples of 14."""
    scale = max(target_height / height, target_width / width)
    sides = []
    for side, target in ((height, target_height), (width, target_width)):
        multiple = int(np.rint(scale * side / 14)) * 14  # rint takes halves to the even neighbour
        sides.append(multiple if multiple >= target else int(np.ceil(scale * side / 14)) * 14)
    return sides[0], sides[1]


def resized_depth_image(image: NDArray[np.uint8], height: int, width: int) -> Floats:
    """uint8 [h, w, 3] to float64 [height, width, 3] in 0..255 and somewhat beyond: the cubic kernel overshoots."""
    return 255 * cv2.resize(image / 255.0, (width, height), interpolation=cv2.INTER_CUBIC)


def resized_semantic_image(image: NDArray[np.uint8], height: int, width: int, side: int) -> Floats:
    """uint8 [h, w, 3] to float64 [side, side, 3], 0..255; height and width are the depth branch's."""
    stretched = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    scale = side / max(height, width)
    longest = int(height * scale + 0.5), int(width * scale + 0.5)
    planes = np.moveaxis(stretched, -1, 0).astype(np.float64)  # [h, w, 3] -> [3, h, w]
    across = _rounded(planes @ triangle_filter(width, longest[1]).T)
    fitted = _rounded(triangle_filter(height, longest[0]) @ across)
    square = torch.nn.functional.interpolate(
        torch.from_numpy(fitted)[None], (side, side), mode="bilinear", align_corners=False
    )
    return np.moveaxis(square[0].numpy(), 0, -1)


def normalised(image: Floats) -> Floats:
    """[H, W, 3] in 0..255 to [3, H, W] as the network takes it."""
    return np.moveaxis((image / 255 - MEAN) / STD, -1, 0)


def triangle_filter(old: int, new: int) -> Floats:
    """The matrix [new, old] of a linear resize whose kernel is widened by the reduction: antialiased."""
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale
    distances = np.abs(np.arange(old) + 0.5 - centres[:, np.newaxis]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distances)
    return weights / weights.sum(axis=1, keepdims=True)


def _rounded(image: NDArray[Any]) -> Floats:
    return np.clip(np.floor(image + 0.5), 0, 255)  # Pillow keeps uint8 between its two passes
