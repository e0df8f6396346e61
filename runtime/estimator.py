"""The class users meet: a bundle in, depth out."""

from __future__ import annotations

import itertools
import logging
import math
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from briges.runtime.backend import GraphChoice, Provider, Request, Runner, RunOptions, open_engines
from briges.runtime.checks import check_colours, check_options, check_out, check_sequence, check_temperature
from briges.runtime.errors import BackendError, UsageError
from briges.runtime.manifest import Manifest, notices, read_manifest
from briges.runtime.postprocess import COLORMAPS, colourise, percentile_range
from briges.runtime.preprocess import Fit, place
from briges.runtime.result import DepthResult
from briges.runtime.semantics import SCENE_CHANGE, SemanticSchedule
from briges.runtime.shared import Shared
from briges.runtime.sidecar import SizedGraph

logger = logging.getLogger("briges")


class DepthEstimator:
    """Runs an engine bundle; use it as a context manager.

        with DepthEstimator("build/engine") as estimator:
            depth = estimator(image).depth

    Threads: one estimator may be called from several threads, which take turns, since they share its buffers; for
    cameras that must not wait for each other each gets a ``clone``. Processes: make the estimator in the process that
    uses it; after a fork the child's copy refuses to work, and it cannot be pickled. Results own their memory and are
    never overwritten, but for those left on the device.
    """

    def __init__(
        self,
        bundle: str | Path,
        *,
        provider: Provider = "auto",
        fit: Fit = "pad",
        threads: int | None = None,
        device: int = 0,
        cuda_graph: GraphChoice = "auto",
        semantic_interval: int = 1,
        scene_change: float | None = SCENE_CHANGE,
        bgr: bool = False,
    ) -> None:
        """Verify and load ``bundle``, a folder made by `make engine` or `briges build`.

        provider: where ONNX Runtime runs, "auto" takes CUDA if it works. threads: its CPU threads per inference, None
        for all. device: index of the GPU for TensorRT. cuda_graph: record TensorRT's work once per size and replay it;
        "auto" does where that works, True insists. fit: how an image whose aspect is not the engine's is placed, see
        ``briges.runtime.preprocess.place``. bgr: images are BGR, as OpenCV has them.
        semantic_interval: of a split bundle, compute the semantic features for every N-th frame, and for those
        whose view differs from that frame's by more than ``scene_change``, 0..1, see ``briges.runtime.semantics``
        (None: whatever the difference). 1: for every frame.
        Raises BundleError if a file is missing, foreign or altered, BackendError if the engine cannot run here,
        MissingExtraError if its library is not installed, UsageError for an option that does not exist or that this
        bundle cannot take.
        """
        options = RunOptions(provider, fit, threads, device, cuda_graph, semantic_interval, scene_change, bgr)
        check_options(options)
        self.path = Path(bundle)
        self.manifest: Manifest = read_manifest(self.path)
        check_options(options, self.manifest)
        self.notices = notices(self.manifest)
        for notice in self.notices:
            logger.warning("%s: %s", self.path, notice)
        engines = open_engines(self.path, self.manifest, options)
        try:
            self._start(options, Shared(engines), share_activations=False)
        except BaseException:
            engines.close()
            raise

    def _start(self, options: RunOptions, shared: Shared, *, share_activations: bool) -> None:
        self._options, self._shared, self._process = options, shared, os.getpid()
        self.fit: Fit = options.fit
        self.backend_name = shared.engines.name
        self._lock = shared.turns if share_activations else threading.Lock()
        self._schedule = SemanticSchedule(options.semantic_interval, options.scene_change)
        self._has_semantics = len(self.manifest.model.graphs[0].inputs) > 1
        # Every size at once: a robot must not meet a pause of seconds when the first picture of another aspect comes.
        self._runners: list[Runner] | None = shared.open(share_activations)

    def clone(self, *, share_activations: bool = False) -> DepthEstimator:
        """Another estimator of the same bundle and options, for another camera: it shares the engine with its weights,
        and has its own buffers, stream and semantic features.

        share_activations: use one block of device memory for intermediate results with the others that do; they then
        take turns. Close each of them, in any order. Raises BackendError if it is closed or memory is short.
        """
        self._require_own_process()
        with self._lock:
            self._open_runners()
            twin = DepthEstimator.__new__(DepthEstimator)
            twin.path, twin.manifest, twin.notices = self.path, self.manifest, self.notices
            twin._start(self._options, self._shared, share_activations=share_activations)
        return twin

    def __enter__(self) -> DepthEstimator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            subject="estimator",
            came="it was pickled or copied",
            expected="one DepthEstimator per process",
            cure="for another process pass the bundle's path and make it over there; in this one, clone() it",
        )

    def close(self) -> None:
        """Release the engine, if no clone uses it; a second call does nothing. Waits for a running inference."""
        if self._process != os.getpid():
            return  # a fork's copy: the engine is its parent's
        with self._lock:
            runners, self._runners = self._runners, None
        if runners is not None:
            self._shared.close(runners)

    def __call__(
        self,
        image: NDArray[np.uint8],
        *,
        temperature: float | None = None,
        out: NDArray[np.float32] | None = None,
        on_device: bool = False,
    ) -> DepthResult:
        """Estimate the depth of one image.

        image: uint8 [height, width, 3], RGB unless made with ``bgr``; of a TensorRT bundle also anything with
            ``__cuda_array_interface__`` or DLPack on its GPU, which never comes to the host
        temperature: divides the gates' attention logits, > 0; only for bundles exported with a dynamic temperature,
            where None means 1.0
        out: float32 [height, width], C-contiguous, to receive the depth without an allocation
        on_device: leave the depth on the GPU, until the next call
        Raises ImageError for an unusable image or ``out``, UsageError for a temperature the bundle cannot take or a
        depth it cannot leave, BackendError if the engine fails or the estimator is closed.
        """
        accepted = self._accept([image])
        if out is not None:
            check_out(out, accepted[0].shape[:2], on_device)
        return self._estimate(accepted, temperature, [out], on_device)[0]

    def batch(self, images: Sequence[NDArray[np.uint8]], *, temperature: float | None = None) -> list[DepthResult]:
        """Estimate several images, as many at a time as the engine's batch holds; sizes may differ.

        Every image is checked before the first one is computed. Raises as ``__call__`` does.
        """
        check_sequence(images)
        accepted = iter(self._accept(images))
        results: list[DepthResult] = []
        while chunk := list(itertools.islice(accepted, self.manifest.model.batch)):
            results += self._estimate(chunk, temperature, [None] * len(chunk), on_device=False)
        return results

    def iterate(
        self, images: Iterable[NDArray[np.uint8]], *, temperature: float | None = None
    ) -> Iterator[DepthResult]:
        """Yield the depth of each image in order, lazily: for frames of a video or a camera.

        Reads ahead by the engine's batch (1 by default), so a live source is never held back. Raises as ``__call__``.
        """
        source = iter(images)
        while chunk := list(itertools.islice(source, self.manifest.model.batch)):
            yield from self._estimate(self._accept(chunk), temperature, [None] * len(chunk), on_device=False)

    def colourise(
        self, result: DepthResult, colormap: str = COLORMAPS[0], percentiles: tuple[float, float] | None = None
    ) -> NDArray[np.uint8]:
        """A picture of ``result``: uint8 RGB [height, width, 3], near is the bright or warm end.

        Of a depth on the device the picture is made there. percentiles: colours span the values between these two,
        0..100; all values otherwise. Raises UsageError for a colormap or percentiles that do not exist, BackendError.
        """
        check_colours(colormap, percentiles)
        depth: Any = result.depth
        if isinstance(depth, np.ndarray):
            value_range = percentile_range(depth, *percentiles) if percentiles else None
            return colourise(depth, colormap, value_range)
        self._require_own_process()
        with self._lock:
            if not any(depth.owner is runner for runner in self._open_runners()):
                raise UsageError(
                    subject="result",
                    came="the depth of another estimator",
                    expected="one that this estimator left on the device",
                    cure="ask the estimator, or the clone, that it came from",
                )
            picture: NDArray[np.uint8] = depth.owner.colourise(depth, colormap, percentiles)
        return picture

    def _accept(self, images: Iterable[Any]) -> list[Any]:
        self._require_own_process()
        images = list(images)
        if not images:
            return []
        with self._lock:
            self._open_runners()
            return [self._shared.engines.accept(image) for image in images]

    def _estimate(
        self, images: list[Any], temperature: float | None, outs: list[NDArray[np.float32] | None], on_device: bool
    ) -> list[DepthResult]:
        value = check_temperature(temperature, self.manifest.model)
        results: list[DepthResult] = []
        with self._lock:
            runners = self._open_runners()
            graphs = self.manifest.model.graphs
            chosen = [
                (graphs.index(nearest_graph(graphs, image.shape)), image, out)
                for image, out in zip(images, outs, strict=True)
            ]
            for index, group in itertools.groupby(chosen, key=lambda item: item[0]):
                graph = self.manifest.model.graphs[index]
                requests = [
                    Request(image, place(image.shape[0], image.shape[1], graph.image, self.fit), out)
                    for _, image, out in group
                ]
                results += self._run(runners[index], index, requests, value, on_device)
        return results

    def _run(
        self, runner: Runner, index: int, requests: list[Request], temperature: float, on_device: bool
    ) -> list[DepthResult]:
        image = requests[0].image
        view = (index, requests[0].placement, image.shape)
        try:
            due = self._schedule.is_due(view, lambda: runner.look(image))
            depths, timings = runner.run(requests, temperature, refresh_semantics=due, on_device=on_device)
        except BaseException:
            self._schedule.forget()
            raise
        age = self._schedule.age if self._has_semantics else None
        return [DepthResult(depth, timings, self.notices, age) for depth in depths]

    def _open_runners(self) -> list[Runner]:
        if self._runners is None:
            raise BackendError(
                subject="estimator",
                came="it is closed",
                expected="an open DepthEstimator",
                cure="call it inside its `with` block, or make a new one",
            )
        return self._runners

    def _require_own_process(self) -> None:
        # Before any lock: a fork copies locks that no thread of the child will ever release.
        if self._process != os.getpid():
            raise BackendError(
                subject="estimator",
                came=f"made in process {self._process} and used in {os.getpid()}, a fork of it",
                expected="one DepthEstimator per process: neither CUDA nor ONNX Runtime survives a fork",
                cure="make the estimator after the fork, or start the process with multiprocessing's 'spawn'",
            )


def nearest_graph(graphs: Sequence[SizedGraph], shape: Sequence[int]) -> SizedGraph:
    """The graph that serves an image of ``shape`` (h, w, ...): the nearest aspect by ratio; the first of equals."""
    aspect = shape[1] / shape[0]
    return min(graphs, key=lambda graph: abs(math.log(graph.image.width_px / graph.image.height_px / aspect)))
