"""What can be timed: a bundle, or the same model in PyTorch."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from briges.benchmarks.frames import Frames, in_turn
from briges.benchmarks.rows import Subject
from briges.benchmarks.subject import subject_of
from briges.runtime.backend import GraphChoice, Provider
from briges.runtime.cuda.device import Buffer, Device, HostBuffer
from briges.runtime.errors import UsageError
from briges.runtime.estimator import DepthEstimator, nearest_graph
from briges.runtime.manifest import Manifest
from briges.runtime.result import Timings

TIMED_REGION = "from a decoded uint8 photograph in host memory to its float32 depth there, one call"
TIMED_ON_DEVICE = "from a decoded uint8 photograph in device memory to its float32 depth there, one call"


@dataclass(frozen=True)
class RunSpec:
    """How a bundle is run while it is timed. ``copies``: between host and device, None where there are none.

    ``images``: per request; None for the engine's batch.
    """

    provider: Provider = "auto"
    threads: int | None = None
    device: int = 0
    cuda_graph: GraphChoice = "auto"
    semantic_interval: int = 1
    temperature: float | None = None
    copies: bool | None = None
    images: int | None = None


class Contender(Protocol):
    """Something that turns photographs into depth.

    ``device_name``: the GPU, None for a CPU. ``packages``: whose versions matter. ``timed_region``: in words.
    ``images``: per request. ``device_index``: the GPU's number, None for a CPU. ``unlike_requests``: after so many,
    every kind of request has been made once: other sizes of frames, and with and without semantics.
    """

    subject: Subject
    manifest: Manifest
    device_name: str | None
    packages: tuple[str, ...]
    timed_region: str
    copies: bool | None
    images: int
    device_index: int | None
    unlike_requests: int

    def load(self, frames: Frames) -> None:
        """Make ready what requests use. Before the first of them."""

    def request(self, number: int) -> Timings:
        """Estimate the frames of request ``number``; the times of all of them together."""

    def depth_of(self, image: NDArray[np.uint8], temperature: float | None) -> NDArray[np.float32]:
        """The depth of one photograph, float32 [h, w], outside of any timing."""

    def twin(self) -> Contender:
        """Another one with buffers of its own, for a stream beside this one; loaded with the same frames."""

    def close(self) -> None:
        """Give everything back."""


class BundleContender:
    """A bundle through the class that users have."""

    def __init__(self, estimator: DepthEstimator, spec: RunSpec, frames: Frames | None = None) -> None:
        self._estimator, self._spec = estimator, spec
        self.manifest = estimator.manifest
        # ONNX Runtime on CUDA takes the first GPU, and copies within its call.
        on_cuda = estimator.backend_name.endswith(" CUDA")
        self.device_index = 0 if on_cuda else spec.device if self.manifest.flavour != "onnxruntime" else None
        self.device_name = None if self.device_index is None else _gpu_name(self.device_index)
        self.copies = None if self.device_index is None else spec.copies is not False
        self.unlike_requests = 1
        self.timed_region = TIMED_ON_DEVICE if self.copies is False else TIMED_REGION
        self.packages = _PACKAGES[self.manifest.flavour]
        self.images = spec.images or self.manifest.model.batch
        self._inputs: list[Any] = []
        self._outs: list[NDArray[np.float32] | None] = []
        self._undo = contextlib.ExitStack()
        self.subject = self._describe(None)
        if frames is not None:
            self.load(frames)

    def load(self, frames: Frames) -> None:
        """As of ``Contender``."""
        self._frames = frames
        self.subject = self._describe(frames)
        self.unlike_requests = max(count_unlike(frames, self.images), 2 if self._spec.semantic_interval > 1 else 1)
        self._inputs = list(frames.images)
        self._outs = [np.empty(image.shape[:2], np.float32) for image in frames.images]
        if self.copies is False:
            self._inputs = [self._undo.enter_context(_on_device(image, self._spec.device)) for image in frames.images]
            self._outs = [None] * len(frames.images)

    def request(self, number: int) -> Timings:
        """As of ``Contender``."""
        temperature = self._spec.temperature
        if self.images == 1:
            index = number % len(self._inputs)
            on_device = self.copies is False
            result = self._estimator(
                self._inputs[index], temperature=temperature, out=self._outs[index], on_device=on_device
            )
            return result.timings
        images = list(in_turn(self._frames, number, self.images))
        return _sum(result.timings for result in self._estimator.batch(images, temperature=temperature))

    def depth_of(self, image: NDArray[np.uint8], temperature: float | None) -> NDArray[np.float32]:
        """As of ``Contender``."""
        return self._estimator(image, temperature=temperature).depth

    def twin(self) -> BundleContender:
        """As of ``Contender``."""
        return BundleContender(self._estimator.clone(), self._spec, self._frames)

    def close(self) -> None:
        """As of ``Contender``."""
        self._undo.close()
        self._estimator.close()

    def _describe(self, frames: Frames | None) -> Subject:
        spec = self._spec
        graph = None if spec.cuda_graph == "auto" else spec.cuda_graph
        size = nearest_graph(self.manifest.model.graphs, frames.images[0].shape).size if frames else None
        return subject_of(
            self._estimator,
            temperature=spec.temperature,
            semantic_interval=spec.semantic_interval,
            cuda_graph=graph,
            size=size,
        )


def count_unlike(frames: Frames, images: int) -> int:
    """How many requests of ``images`` it takes until every size of ``frames`` has come once."""
    first = {image.shape: index for index, image in reversed(list(enumerate(frames.images)))}
    return max(first.values()) // images + 1


@contextlib.contextmanager
def open_bundle(bundle: Path, spec: RunSpec) -> Iterator[BundleContender]:
    """Load ``bundle``. Raises what DepthEstimator does, and UsageError for a ``copies`` that it has not."""
    estimator = DepthEstimator(
        bundle,
        provider=spec.provider,
        threads=spec.threads,
        device=spec.device,
        cuda_graph=spec.cuda_graph,
        semantic_interval=spec.semantic_interval,
        scene_change=None,  # frames in turn are other scenes: with it, no frame would use older semantics
    )
    with contextlib.closing(estimator):
        _require_copies(estimator.manifest, spec)
        contender = BundleContender(estimator, spec)
        with contextlib.closing(contender):
            yield contender


def _require_copies(manifest: Manifest, spec: RunSpec) -> None:
    if spec.cuda_graph is True and manifest.flavour == "onnxruntime":
        raise UsageError(
            subject="--cuda-graph",
            came="a bundle of ONNX Runtime, which records none",
            expected="a TensorRT bundle",
            cure="leave the option out",
        )
    images = spec.images or manifest.model.batch
    if spec.copies is False and (manifest.flavour == "onnxruntime" or images > 1):
        why = "a bundle of ONNX Runtime" if manifest.flavour == "onnxruntime" else f"requests of {images} images"
        raise UsageError(
            subject="--no-copies",
            came=f"{why}, whose photographs come from host memory",
            expected="a TensorRT bundle and one image per request",
            cure="leave the option out",
        )


def _gpu_name(index: int) -> str | None:
    from briges.runtime.gpu import read_driver

    devices = read_driver().devices
    return devices[index].name if index < len(devices) else None


def _sum(shares: Iterable[Timings]) -> Timings:
    """Of a whole request: each result carries its share."""
    every = list(shares)
    parts: dict[str, float] = {}
    for name, ms in itertools.chain.from_iterable(timings.parts for timings in every):
        parts[name] = parts.get(name, 0.0) + ms
    return Timings(
        sum(timings.preprocess_ms for timings in every),
        sum(timings.inference_ms for timings in every),
        sum(timings.postprocess_ms for timings in every),
        every[0].clock,
        tuple(parts.items()),
        sum(timings.waited_ms for timings in every),
    )


class _DeviceArray:
    """A photograph in device memory, as other libraries would hand it over."""

    def __init__(self, pointer: int, shape: Sequence[int]) -> None:
        self.__cuda_array_interface__ = {
            "shape": tuple(shape),
            "typestr": "|u1",
            "data": (pointer, True),
            "strides": None,
            "version": 3,
            "stream": None,
        }


@contextlib.contextmanager
def _on_device(image: NDArray[np.uint8], index: int) -> Iterator[_DeviceArray]:
    from briges.runtime.cuda.choose import open_device

    device = open_device(index)
    with contextlib.ExitStack() as undo:
        undo.callback(device.close)
        with device.current():
            buffer = device.allocate(image.size)
        undo.enter_context(_freed(device, buffer))
        with device.current():
            staging, stream = device.allocate_host(image.size), device.stream()
            with _freed(device, staging):
                staging.array[:] = image.reshape(-1)  # [h, w, 3] -> [h * w * 3]
                device.copy(buffer.pointer, staging.pointer, image.size, stream)
                stream.synchronize()
        yield _DeviceArray(buffer.pointer, image.shape)


@contextlib.contextmanager
def _freed(device: Device, memory: Buffer | HostBuffer) -> Iterator[None]:
    try:
        yield
    finally:
        with device.current():
            memory.free()


_PACKAGES = {
    "onnxruntime": ("numpy", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "pillow"),
    "tensorrt": ("numpy", "tensorrt", "cuda-bindings", "pycuda"),
    "tensorrt-rtx": ("numpy", "tensorrt_rtx", "tensorrt-rtx-cu13", "cuda-bindings", "pycuda"),
}
