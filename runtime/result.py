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
    ``parts``: the same time in finer parts, by that clock: "host to device", "preprocess", each engine that ran (its
    part in the manifest; the encoders run beside each other on a GPU), "postprocess", "device to host". A CUDA graph
    cannot be timed inside: then "inference" stands in the engines' place.
    ``waited_ms``: host time in which the host did nothing but wait for the engines; always the host's clock.
    """

    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    clock: Literal["host", "device"] = "host"
    parts: tuple[tuple[str, float], ...] = ()
    waited_ms: float = 0.0

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
