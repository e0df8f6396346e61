"""What runs an engine: the interface every backend has, and the choice among them by the bundle's flavour."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from briges.runtime.manifest import Manifest

Provider = Literal["auto", "cpu", "cuda"]


class Backend(Protocol):
    """What the estimator needs of an engine.

    ``inputs`` maps tensor names to the arrays ``run`` reads, ``output`` is the float32 [B, 1, H, W] array it fills.
    Both live as long as the backend: nothing is allocated per frame, and an output is overwritten by the next run.
    """

    name: str
    inputs: dict[str, NDArray[Any]]
    output: NDArray[np.float32]

    def run(self) -> None:
        """Fill ``output`` from ``inputs``. Raises BackendError."""

    def close(self) -> None:
        """Release the engine; ``run`` must not be called any more."""


def open_backend(folder: Path, manifest: Manifest, provider: Provider, threads: int | None) -> Backend:
    """Load the engine of the verified bundle ``folder``. Raises BackendError, MissingExtraError."""
    # The one flavour there is; imported here, so that importing the runtime loads no backend.
    from briges.runtime.onnx_backend import OnnxBackend

    return OnnxBackend(folder / manifest.engine, manifest.model, provider, threads)
