"""The class users meet: a bundle in, depth out."""

from __future__ import annotations

import itertools
import logging
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from briges.runtime import contracts
from briges.runtime.backend import Backend, Provider, open_backends
from briges.runtime.errors import BackendError, ImageError, UsageError, unknown_name
from briges.runtime.manifest import Manifest, notices, read_manifest
from briges.runtime.postprocess import restore_size
from briges.runtime.preprocess import Fit, Placement, check_image, fill_depth_input, fill_semantic_input, place
from briges.runtime.sidecar import SizedGraph

logger = logging.getLogger("briges")

_FLOAT32_MIN, _FLOAT32_MAX = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Timings:
    """Host milliseconds of one request, by stage. In a batch each image carries its share (batch time / images)."""

    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float

    @property
    def total_ms(self) -> float:
        """All three stages."""
        return self.preprocess_ms + self.inference_ms + self.postprocess_ms


@dataclass(frozen=True, eq=False)
class DepthResult:
    """``depth``: float32 [height, width] of the given image, relative inverse depth: >= 0, larger is nearer, scale and
    shift unknown. ``notices``: what must be known before the depth is believed, such as random weights; usually empty.
    """

    depth: NDArray[np.float32]
    timings: Timings
    notices: tuple[str, ...]


class DepthEstimator:
    """Runs an engine bundle; use it as a context manager.

        with DepthEstimator("build/engine") as estimator:
            depth = estimator(image).depth

    Threads: one estimator may be called from several threads; calls take turns, since they share the input and output
    buffers (and the engine uses all cores anyway). Results own their memory and are never overwritten.
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        provider: Provider = "auto",
        fit: Fit = "pad",
        threads: int | None = None,
    ) -> None:
        """Verify and load ``bundle``, a folder made by `make engine` or `briges build`.

        provider: where ONNX Runtime runs, "auto" takes CUDA if it works. fit: how an image whose aspect is not the
        engine's is placed, see ``briges.runtime.preprocess.place``. threads: CPU threads per inference, None for all.
        Raises BundleError if a file is missing, foreign or altered, BackendError if the engine cannot run here,
        MissingExtraError if its library is not installed, UsageError for an option that does not exist.
        """
        for subject, value, kind in (("fit", fit, Fit), ("provider", provider, Provider)):
            if value not in get_args(kind):
                raise unknown_name(subject, value, get_args(kind))
        cores = os.cpu_count() or 1
        if threads is not None and not 1 <= threads <= cores:
            # ONNX Runtime would start as many as asked for, and they would fight over the cores.
            raise UsageError(
                subject="threads", came=str(threads), expected=f"1 to {cores}, the cores here", cure="leave it out"
            )
        self.path = Path(bundle)
        self.manifest: Manifest = read_manifest(self.path)
        self.fit: Fit = fit
        self.notices = notices(self.manifest)
        for notice in self.notices:
            logger.warning("%s: %s", self.path, notice)
        self._lock = threading.Lock()
        # Every size at once: a robot must not meet a pause of seconds when the first picture of another aspect comes.
        backends = open_backends(self.path, self.manifest, provider, threads)
        self._networks: tuple[_Network, ...] | None = tuple(map(_Network, self.manifest.model.graphs, backends))
        self.backend_name = self._networks[0].backend.name

    def __enter__(self) -> DepthEstimator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the engine; a second call does nothing. Waits for a running inference."""
        with self._lock:
            for network in self._networks or ():
                network.backend.close()
            self._networks = None

    def __call__(
        self, image: NDArray[np.uint8], *, temperature: float | None = None, out: NDArray[np.float32] | None = None
    ) -> DepthResult:
        """Estimate the depth of one image.

        image: uint8 [height, width, 3], RGB
        temperature: divides the gates' attention logits, > 0; only for bundles exported with a dynamic temperature,
            where None means 1.0
        out: float32 [height, width], C-contiguous, to receive the depth without an allocation
        Raises ImageError for an unusable image or ``out``, UsageError for a temperature the bundle cannot take,
        BackendError if the engine fails or the estimator is closed.
        """
        check_image(image)
        if out is not None:
            _check_out(out, image.shape[:2])
        return self._estimate([image], temperature, [out])[0]

    def batch(self, images: Sequence[NDArray[np.uint8]], *, temperature: float | None = None) -> list[DepthResult]:
        """Estimate several images, as many at a time as the engine's batch holds; sizes may differ.

        Every image is checked before the first one is computed. Raises as ``__call__`` does.
        """
        images = list(images)  # a generator would be empty after the check
        for image in images:
            check_image(image)
        return list(self.iterate(images, temperature=temperature))

    def iterate(
        self, images: Iterable[NDArray[np.uint8]], *, temperature: float | None = None
    ) -> Iterator[DepthResult]:
        """Yield the depth of each image in order, lazily: for frames of a video or a camera.

        Reads ahead by the engine's batch (1 by default), so a live source is never held back. Raises as ``__call__``.
        """
        source = iter(images)
        while chunk := list(itertools.islice(source, self.manifest.model.batch)):
            yield from self._estimate(chunk, temperature, [None] * len(chunk))

    def _estimate(
        self,
        images: list[NDArray[np.uint8]],
        temperature: float | None,
        outs: list[NDArray[np.float32] | None],
    ) -> list[DepthResult]:
        for image in images:
            check_image(image)
        results: list[DepthResult] = []
        with self._lock:
            chosen = [
                (_nearest(self._open_networks(), image), image, out) for image, out in zip(images, outs, strict=True)
            ]
            for network, group in itertools.groupby(chosen, key=lambda item: item[0]):
                _, members, places = zip(*group, strict=True)
                results += self._run(network, members, temperature, places)
        return results

    def _run(
        self,
        network: _Network,
        images: Sequence[NDArray[np.uint8]],
        temperature: float | None,
        outs: Sequence[NDArray[np.float32] | None],
    ) -> list[DepthResult]:
        backend = network.backend
        self._set_temperature(backend, temperature)
        started = time.perf_counter()
        placements = [self._fill(network, slot, image) for slot, image in enumerate(images)]
        prepared = time.perf_counter()
        backend.run()
        computed = time.perf_counter()
        depths = [
            restore_size(placement.crop(backend.output[slot, 0]), image.shape[0], image.shape[1], out)
            for slot, (placement, image, out) in enumerate(zip(placements, images, outs, strict=True))
        ]
        finished = time.perf_counter()
        share_ms = 1000 / len(images)
        timings = Timings(
            (prepared - started) * share_ms, (computed - prepared) * share_ms, (finished - computed) * share_ms
        )
        return [DepthResult(_finite(depth), timings, self.notices) for depth in depths]

    def _open_networks(self) -> tuple[_Network, ...]:
        if self._networks is None:
            raise BackendError(
                subject="estimator",
                came="it is closed",
                expected="an open DepthEstimator",
                cure="call it inside its `with` block, or make a new one",
            )
        return self._networks

    def _set_temperature(self, backend: Backend, temperature: float | None) -> None:
        if contracts.TEMPERATURE in backend.inputs:
            value = 1.0 if temperature is None else float(temperature)
            # Judged as the float32 it becomes: 1e-50 would be a division by zero inside the engine.
            if not _FLOAT32_MIN <= value <= _FLOAT32_MAX:
                raise UsageError(
                    subject="temperature",
                    came=str(value),
                    expected="a number above 0 that float32 holds in full",
                    cure="1.0 is as trained",
                )
            backend.inputs[contracts.TEMPERATURE][0] = value
        elif temperature is not None:
            raise UsageError(
                subject="temperature",
                came=f"{temperature} for a bundle whose temperature is {self.manifest.model.temperature.mode}",
                expected="no temperature",
                cure="export the model with `--temperature dynamic` to set it per call",
            )

    def _fill(self, network: _Network, slot: int, image: NDArray[np.uint8]) -> Placement:
        graph, inputs = network.graph, network.backend.inputs
        placement = place(image.shape[0], image.shape[1], graph.image, self.fit)
        fill_depth_input(image, graph.image, placement, inputs[contracts.IMAGE][slot])
        for semantic in graph.inputs[1:]:
            fill_semantic_input(image, graph.image, semantic, placement, inputs[semantic.name][slot])
        return placement


@dataclass(frozen=True, eq=False)
class _Network:
    """One input size and what runs it."""

    graph: SizedGraph
    backend: Backend


def _nearest(networks: Sequence[_Network], image: NDArray[np.uint8]) -> _Network:
    """The network whose aspect is nearest to that of ``image`` [h, w, 3], by ratio; the first of equals."""
    aspect = image.shape[1] / image.shape[0]
    return min(networks, key=lambda n: abs(math.log(n.graph.image.width_px / n.graph.image.height_px / aspect)))


def _check_out(out: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    if not isinstance(out, np.ndarray):
        came = type(out).__name__
    elif out.dtype != np.float32 or out.shape != shape:
        came = f"{out.dtype} {list(out.shape)}"
    elif not (out.flags.c_contiguous and out.flags.writeable):
        came = "a read-only array" if out.flags.c_contiguous else "an array that is not contiguous"
    else:
        return
    raise ImageError(
        subject="out",
        came=came,
        expected=f"a writable, C-contiguous float32 array {list(shape)}",
        cure="allocate it with numpy.empty(image.shape[:2], numpy.float32)",
    )


def _finite(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    # A sum is NaN or infinite if any element is: one pass and no temporary array.
    if not math.isfinite(float(depth.sum(dtype=np.float64))):
        raise BackendError(
            subject="engine output",
            came="NaN or infinite depth",
            expected="finite inverse depth",
            cure="the engine is numerically broken: build it again, and report it if that does not help",
        )
    return depth
