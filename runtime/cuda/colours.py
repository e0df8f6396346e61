"""Depth on the GPU to a picture on the host: three bytes per pixel come back instead of four of depth and a pass over
them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from briges.runtime.cuda.device import Device, Stream
from briges.runtime.cuda.image_kernels import HISTOGRAM_BYTES, LIMITS_BYTES, ImageKernels
from briges.runtime.cuda.staging import Staging
from briges.runtime.postprocess import colour_table

_TABLE_BYTES = 256 * 3


class Colours:
    """Colour tables, ranges and pictures of one runner; grows to the largest picture and is reused."""

    def __init__(self, device: Device, kernels: ImageKernels) -> None:
        self._kernels = kernels
        self._table, self._picture = Staging(device), Staging(device)
        self._numbers = Staging(device)  # the limits, the narrowed limits, the histogram
        self._colormap = ""

    def colourise(
        self,
        depth_pointer: int,
        partials_pointer: int,
        shape: tuple[int, int],
        colormap: str,
        percents: tuple[float, float] | None,
        stream: Stream,
    ) -> NDArray[np.uint8]:
        """As ``briges.runtime.postprocess.colourise``, waited for. Raises BackendError.

        depth_pointer: float32 [height, width]. partials_pointer: what ``restore_depth`` wrote of it. percents: colours
        span the values between these two percentiles, None for all.
        """
        height, width = shape
        count = height * width
        self._numbers.reserve(2 * LIMITS_BYTES + HISTOGRAM_BYTES)
        self._picture.reserve(count * 3)
        self._load(colormap, stream)
        limits = self._numbers.pointer
        self._kernels.find_range(partials_pointer, height, width, limits, stream)
        if percents is not None:
            narrowed = limits + LIMITS_BYTES
            histogram = narrowed + LIMITS_BYTES
            self._kernels.find_percentiles(depth_pointer, count, limits, percents, histogram, narrowed, stream)
            limits = narrowed
        self._kernels.colourise(depth_pointer, count, limits, self._table.pointer, self._picture.pointer, stream)
        self._picture.download(count * 3, stream)
        stream.synchronize()
        picture: NDArray[np.uint8] = self._picture.view(np.uint8, (height, width, 3)).copy()
        return picture

    def free(self) -> None:
        """Give everything back."""
        for held in (self._table, self._picture, self._numbers):
            held.free()

    def _load(self, colormap: str, stream: Stream) -> None:
        if colormap != self._colormap:
            self._table.reserve(_TABLE_BYTES)
            self._table.view(np.uint8, (256, 3))[...] = colour_table(colormap)
            self._table.upload(_TABLE_BYTES, stream)
            self._colormap = colormap
