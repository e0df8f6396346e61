"""What runs a bundle: the interface every backend has, and the choice among them by the bundle's flavour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from briges.runtime.errors import BackendError
from briges.runtime.manifest import Manifest
from briges.runtime.preprocess import Fit, Placement
from briges.runtime.result import Timings

Provider = Literal["auto", "cpu", "cuda"]
GraphChoice = Literal["auto", True, False]


@dataclass(frozen=True)
class RunOptions:
    """How a bundle is run, see ``DepthEstimator``: what does not concern a backend it ignores."""

    provider: Provider = "auto"
    fit: Fit = "pad"
    threads: int | None = None
    device: int = 0
    cuda_graph: GraphChoice = "auto"
    semantic_interval: int = 1
    scene_change: float | None = None
    bgr: bool = False


@dataclass(frozen=True, eq=False)
class Request:
    """One photograph of a batch. ``image``: uint8 [h, w, 3] on the host, or a ``DeviceImage``. ``out``: float32 [h, w]
    to receive the depth, None for a new array.
    """

    image: Any
    placement: Placement
    out: NDArray[np.float32] | None


class Runner(Protocol):
    """One input size of a bundle, from photographs to depth, with buffers of its own; one call at a time."""

    def run(
        self, requests: Sequence[Request], temperature: float, *, refresh_semantics: bool, on_device: bool
    ) -> tuple[list[Any], Timings]:
        """The depth of each photograph, float32 [h, w], and the time of all of them.

        temperature: what the model's input gets, if it has one. refresh_semantics: compute the semantic features, or
        take those of the last call. on_device: leave the depth there. Raises BackendError.
        """

    def look(self, image: Any) -> NDArray[np.uint8]:
        """The grid of ``briges.runtime.semantics.green_grid``."""

    def close(self) -> None:
        """Give back its buffers; ``run`` must not be called any more."""


class Engines(Protocol):
    """The loaded engines of a bundle. Estimators that are clones of each other share them.

    ``name``: what runs them, for people.
    """

    name: str

    def accept(self, image: Any) -> Any:
        """``image`` as a ``Request`` takes it, with its ``shape``. Raises ImageError for what cannot be used."""

    def runners(self, share_activations: bool) -> list[Runner]:
        """New runners with buffers of their own, in the order of ``manifest.model.graphs``.

        share_activations: those who ask so use one block of memory for intermediate results, and must take turns.
        """

    def close(self) -> None:
        """Release the engines, after every runner is closed."""


def open_engines(folder: Path, manifest: Manifest, options: RunOptions) -> Engines:
    """Load the verified bundle ``folder``. Raises BackendError, MissingExtraError."""
    from briges.runtime.compatibility import require_runnable

    require_runnable(manifest, options.device)
    # Imported here, so that importing the runtime loads no backend.
    if manifest.flavour == "onnxruntime":
        from briges.runtime.host_runner import HostEngines

        return HostEngines(folder, manifest, options)
    from briges.runtime.cuda.engines import GpuEngines

    return GpuEngines(folder, manifest, options)


def require_finite(witness: float) -> None:
    """Refuse a depth map that is NaN or infinite anywhere, as ``witness`` then is. Raises BackendError."""
    if not math.isfinite(witness):
        raise BackendError(
            subject="engine output",
            came="NaN or infinite depth",
            expected="finite inverse depth",
            cure="the engine is numerically broken: build it again, and report it if that does not help",
        )
