"""What one estimate gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Timings:
    """Milliseconds of one request, by stage. In a batch each image carries its share (batch time / images).

    ``clock`` "host": a monotonic clock around each stage. "device": CUDA events around what each stage queued on the
    GPU, copies included; the host's own work is not in it.
    """

    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    clock: Literal["host", "device"] = "host"

    @property
    def total_ms(self) -> float:
        """All three stages."""
        return self.preprocess_ms + self.inference_ms + self.postprocess_ms


@dataclass(frozen=True, eq=False)
class DepthResult:
    """``depth``: float32 [height, width] of the given image, relative inverse depth: >= 0, larger is nearer, scale and
    shift unknown. Asked for on the device, it is a ``briges.runtime.cuda.arrays.DeviceArray``: what
    ``__cuda_array_interface__`` consumers take, and valid until the estimator's next call.

    ``notices``: what must be known before the depth is believed, such as random weights; usually empty.
    ``semantics_age``: how many frames ago the semantic features in it were computed: 0 for this very frame, more only
    with a semantic interval, None for models without a semantic encoder.
    """

    depth: NDArray[np.float32]
    timings: Timings
    notices: tuple[str, ...]
    semantics_age: int | None = None
