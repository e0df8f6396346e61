"""Photograph to depth where ONNX Runtime is the engine: pre- and post-processing on the CPU."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from briges.runtime import contracts
from briges.runtime.backend import Request, Runner, RunOptions, require_finite
from briges.runtime.errors import ImageError, UsageError
from briges.runtime.manifest import Manifest
from briges.runtime.onnx_backend import OnnxBackend, open_sessions
from briges.runtime.postprocess import restore_size
from briges.runtime.preprocess import Scratch, check_image, fill_depth_input, fill_semantic_input
from briges.runtime.result import Timings
from briges.runtime.semantics import green_grid
from briges.runtime.sidecar import SizedGraph


class HostEngines:
    """ONNX Runtime's sessions; each serves any number of runners at once."""

    def __init__(self, folder: Path, manifest: Manifest, options: RunOptions) -> None:
        """Load the verified bundle ``folder``. Raises BackendError, MissingExtraError."""
        self._manifest, self._bgr = manifest, options.bgr
        self._sessions = open_sessions(folder, manifest.engines, options.provider, options.threads)
        engine = manifest.engines[0]
        self.name = OnnxBackend.name_of(self._sessions[engine.file])

    def accept(self, image: Any) -> Any:
        """The NumPy array itself. Raises ImageError for anything else."""
        if not isinstance(image, np.ndarray) and hasattr(image, "__cuda_array_interface__"):
            raise ImageError(
                subject="image",
                came="an array in the memory of a GPU",
                expected="a uint8 NumPy array [height, width, 3]: this bundle's engine is ONNX Runtime",
                cure="copy it to the host first, or build the bundle for TensorRT",
            )
        check_image(image)
        return image

    def runners(self, share_activations: bool) -> list[Runner]:
        """New runners. Activations are ONNX Runtime's own: there is nothing to share."""
        model = self._manifest.model
        return [
            HostRunner(graph, OnnxBackend(self._manifest.engines_of(graph.size), self._sessions), self._bgr)
            for graph in model.graphs
        ]

    def close(self) -> None:
        """Release the sessions and their weights."""
        self._sessions.clear()


class HostRunner:
    """One input size on ONNX Runtime."""

    def __init__(self, graph: SizedGraph, backend: OnnxBackend, bgr: bool) -> None:
        self._graph, self._backend, self._bgr, self._scratch = graph, backend, bgr, Scratch()

    def run(
        self, requests: Sequence[Request], temperature: float, *, refresh_semantics: bool, on_device: bool
    ) -> tuple[list[NDArray[np.float32]], Timings]:
        """As ``Runner.run``. Raises BackendError, and UsageError for ``on_device``."""
        if on_device:
            raise UsageError(
                subject="on_device",
                came="a bundle for ONNX Runtime, whose depth is on the host",
                expected="a TensorRT bundle",
                cure="leave it out, or build the bundle for TensorRT",
            )
        backend = self._backend
        if contracts.TEMPERATURE in backend.inputs:
            backend.inputs[contracts.TEMPERATURE][0] = temperature
        started = time.perf_counter()
        for slot, request in enumerate(requests):
            self._fill(slot, request, refresh_semantics)
        prepared = time.perf_counter()
        engines = backend.run(refresh_semantics=refresh_semantics)
        computed = time.perf_counter()
        depths = []
        for slot, request in enumerate(requests):
            height, width = request.image.shape[:2]
            depth = restore_size(request.placement.crop(backend.output[slot, 0]), height, width, request.out)
            # A sum is NaN or infinite if any element is: one pass and no temporary array.
            require_finite(float(depth.sum(dtype=np.float64)))
            depths.append(depth)
        finished = time.perf_counter()
        share = 1 / len(requests)
        preprocess_ms = (prepared - started) * 1000 * share
        inference_ms = (computed - prepared) * 1000 * share
        postprocess_ms = (finished - computed) * 1000 * share
        parts = (
            ("preprocess", preprocess_ms),
            *((name, ms * share) for name, ms in engines),
            ("postprocess", postprocess_ms),
        )
        return depths, Timings(preprocess_ms, inference_ms, postprocess_ms, "host", parts, inference_ms)

    def look(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """As ``Runner.look``."""
        return green_grid(image)

    def close(self) -> None:
        """Give back the arrays."""
        self._backend.close()

    def _fill(self, slot: int, request: Request, refresh_semantics: bool) -> None:
        inputs, image, placement = self._backend.inputs, request.image, request.placement
        depth = self._graph.image
        fill_depth_input(image, depth, placement, inputs[contracts.IMAGE][slot], bgr=self._bgr, scratch=self._scratch)
        for semantic in self._graph.inputs[1:]:
            if refresh_semantics:
                fill_semantic_input(image, depth, semantic, placement, inputs[semantic.name][slot], bgr=self._bgr)
