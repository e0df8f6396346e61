"""What runs an engine: the interface every backend has, and the choice among them by the bundle's flavour."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from briges.runtime.errors import BackendError
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


def open_backends(folder: Path, manifest: Manifest, provider: Provider, threads: int | None) -> list[Backend]:
    """Load the verified bundle ``folder``: one backend per input size, in the order of ``manifest.model.graphs``.

    Raises BackendError, MissingExtraError.
    """
    from briges.runtime.compatibility import EXECUTED, require_runnable

    require_runnable(manifest)
    if manifest.flavour not in EXECUTED:
        raise BackendError(
            subject=f"bundle {folder}",
            came=f"a {manifest.flavour} engine, which this release builds and checks but does not run itself",
            expected="a bundle for ONNX Runtime",
            cure="build one from the same model: `briges build MODEL_DIR --out BUNDLE --flavour onnxruntime`",
        )
    # Imported here, so that importing the runtime loads no backend.
    from briges.runtime.onnx_backend import OnnxBackend, open_sessions

    sessions = open_sessions(folder, manifest.engines, provider, threads)
    return [OnnxBackend(manifest.engines_of(graph.size), sessions) for graph in manifest.model.graphs]
