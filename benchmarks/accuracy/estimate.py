"""The depth that is scored: of an image, and of its mirror image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from briges.runtime.estimator import DepthEstimator
from briges.runtime.postprocess import restore_size


def estimate(
    estimator: DepthEstimator, image: NDArray[np.uint8], *, flip: bool, temperature: float | None
) -> NDArray[np.float32]:
    """Relative inverse depth of uint8 RGB [h, w, 3]: float32 [h, w].

    flip: the mean of it and of what the mirrored image gives, mirrored back. Raises as ``DepthEstimator`` does.
    """
    depth = estimator(image, temperature=temperature).depth
    if not flip:
        return depth
    mirrored = estimator(np.ascontiguousarray(image[:, ::-1]), temperature=temperature).depth
    mean: NDArray[np.float32] = (depth + mirrored[:, ::-1]) / np.float32(2)
    return mean


def at_size(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """``depth`` [h, w] at another (h, w): bilinear, half-pixel centres, which is torch's align_corners=False."""
    return depth if depth.shape == size else restore_size(depth, *size)
