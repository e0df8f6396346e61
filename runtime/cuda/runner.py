"""Photograph to depth on the GPU: copies, image kernels and engines, queued in one stream and waited for once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from briges.runtime import contracts
from briges.runtime.backend import Request, require_finite
from briges.runtime.cuda.arrays import DeviceArray, DeviceImage
from briges.runtime.cuda.colours import Colours
from briges.runtime.cuda.device import Device
from briges.runtime.cuda.image_kernels import ImageKernels, SourceImage
from briges.runtime.cuda.network import Activations, SizedNetwork
from briges.runtime.cuda.staging import Staging
from briges.runtime.errors import BackendError, UsageError
from briges.runtime.result import Timings
from briges.runtime.semantics import GRID, green_grid
from briges.runtime.sidecar import ImageInput, SizedGraph

_FLOAT_BYTES = 4


class GpuRunner:
    """One input size of a TensorRT bundle. Its buffers grow to the largest photograph seen and are then reused."""

    def __init__(
        self,
        device: Device,
        kernels: ImageKernels,
        graph: SizedGraph,
        network: SizedNetwork,
        activations: Activations | None,
        *,
        bgr: bool,
    ) -> None:
        """activations: to be given back with this runner, None where others use them too."""
        self._device, self._kernels, self._graph, self._bgr = device, kernels, graph, bgr
        self._network, self._activations = network, activations
        self._temperature, self._grid = Staging(device), Staging(device)
        self._calls = 0
        self._photographs: list[Staging] = []
        self._depths: list[Staging] = []
        self._colours = Colours(device, kernels)
        self._marks = [device.event() for _ in range(6)]

    def run(
        self, requests: Sequence[Request], temperature: float, *, refresh_semantics: bool, on_device: bool
    ) -> tuple[list[Any], Timings]:
        """As ``Runner.run``; the depths on the device are ``DeviceArray``. Raises BackendError."""
        stream, (begun, uploaded, prepared, computed, restored, finished) = self._network.stream, self._marks
        with self._device.current():
            self._calls += 1
            self._reserve(requests)
            try:
                # The host's work, and what others still do to their images, before the device's clock begins.
                sources = [self._take(slot, request.image) for slot, request in enumerate(requests)]
                begun.record(stream)
                for slot, request in enumerate(requests):
                    if isinstance(request.image, np.ndarray):
                        self._photographs[slot].upload(request.image.size, stream)
                uploaded.record(stream)
                for slot, (request, source) in enumerate(zip(requests, sources, strict=True)):
                    self._fill(slot, request, source, refresh_semantics)
                self._set_temperature(temperature)
                prepared.record(stream)
                self._network.run(refresh_semantics=refresh_semantics)
                computed.record(stream)
                for slot, request in enumerate(requests):
                    self._restore(slot, request)
                restored.record(stream)
                for slot, request in enumerate(requests):
                    self._download(slot, request, on_device)
                finished.record(stream)
                queued_s = time.perf_counter()
                finished.synchronize()
                waited_ms = (time.perf_counter() - queued_s) * 1000
            except BaseException:
                # What is queued still reads our buffers, and the next call writes them.
                with contextlib.suppress(BackendError):
                    self._network.synchronize()
                raise
            depths = [self._depth(slot, request, on_device) for slot, request in enumerate(requests)]
            timings = self._timings(1 / len(requests), waited_ms)
        return depths, timings

    def look(self, image: Any) -> NDArray[np.uint8]:
        """As ``Runner.look``: of a photograph on the device only the grid comes to the host."""
        if isinstance(image, np.ndarray):
            return green_grid(image)
        with self._device.current():
            stream, size_bytes = self._network.stream, GRID * GRID
            self._grid.reserve(size_bytes)
            self._kernels.sample_grid(self._source(image), self._grid.pointer, stream)
            self._grid.download(size_bytes, stream)
            stream.synchronize()
            grid: NDArray[np.uint8] = self._grid.view(np.uint8, (GRID, GRID)).copy()
        return grid

    def colourise(self, depth: DeviceArray, colormap: str, percents: tuple[float, float] | None) -> NDArray[np.uint8]:
        """As ``briges.runtime.postprocess.colourise``, of a depth this runner left on the device.

        Raises BackendError, and UsageError for one that a later call has written over.
        """
        if depth.call != self._calls:
            raise UsageError(
                subject="result",
                came=f"a depth on the device, of {self._calls - depth.call} calls ago",
                expected="that of the last call: its memory is used again",
                cure="colour it before the next call, or leave out on_device",
            )
        height, width = depth.shape
        partials = depth.pointer + height * width * _FLOAT_BYTES
        with self._device.current():
            return self._colours.colourise(
                depth.pointer, partials, (height, width), colormap, percents, self._network.stream
            )

    def close(self) -> None:
        """Give everything back."""
        # After an error that CUDA does not recover from, nothing can be given back, and nothing needs to be.
        with contextlib.suppress(BackendError), self._device.current():
            self._network.synchronize()
            self._network.free()
            for held in (self._temperature, self._grid, *self._photographs, *self._depths):
                held.free()
            self._colours.free()
            for mark in self._marks:
                mark.free()
            if self._activations is not None:
                self._activations.free()
            del self._network  # with TensorRT's runtime, even if somebody keeps a depth of ours

    def _reserve(self, requests: Sequence[Request]) -> None:
        """Every buffer at its size before anything is queued on one."""
        while len(self._depths) < len(requests):
            self._photographs.append(Staging(self._device))
            self._depths.append(Staging(self._device))
        self._temperature.reserve(_FLOAT_BYTES)
        for slot, request in enumerate(requests):
            height, width = request.image.shape[:2]
            if isinstance(request.image, np.ndarray):
                self._photographs[slot].reserve(height * width * 3)
            self._depths[slot].reserve(height * width * _FLOAT_BYTES + self._kernels.partials_bytes(height, width))

    def _timings(self, share: float, waited_ms: float) -> Timings:
        begun, uploaded, prepared, computed, restored, finished = self._marks
        inference_ms = prepared.elapsed_ms(computed)
        engines = self._network.parts_ms() or [("inference", inference_ms)]
        parts = (
            ("host to device", begun.elapsed_ms(uploaded) * share),
            ("preprocess", uploaded.elapsed_ms(prepared) * share),
            *((name, ms * share) for name, ms in engines),
            ("postprocess", computed.elapsed_ms(restored) * share),
            ("device to host", restored.elapsed_ms(finished) * share),
        )
        before_ms, after_ms = begun.elapsed_ms(prepared) * share, computed.elapsed_ms(finished) * share
        return Timings(before_ms, inference_ms * share, after_ms, "device", parts, waited_ms * share)

    def _take(self, slot: int, image: Any) -> SourceImage:
        if not isinstance(image, np.ndarray):
            return self._source(image)
        photograph = self._photographs[slot]
        np.copyto(photograph.view(np.uint8, image.shape), image)  # whatever its strides
        return SourceImage(photograph.pointer, image.shape[0], image.shape[1], image.shape[1] * 3, self._bgr)

    def _fill(self, slot: int, request: Request, source: SourceImage, refresh_semantics: bool) -> None:
        stream = self._network.stream
        depth, *semantics = self._graph.inputs
        self._kernels.fill_depth_input(source, depth, request.placement, self._slot(depth, slot), stream)
        for spec in semantics:
            if refresh_semantics:
                self._kernels.fill_semantic_input(
                    source, depth, spec, request.placement, self._slot(spec, slot), stream
                )

    def _source(self, image: DeviceImage) -> SourceImage:
        if image.stream is not None:
            self._network.stream.wait_for_stream(image.stream)
        return SourceImage(image.pointer, image.height, image.width, image.pitch_bytes, self._bgr)

    def _slot(self, spec: ImageInput, slot: int) -> int:
        """Address of an image's slot of the batch."""
        item_bytes = 1 if spec.dtype == "uint8" else _FLOAT_BYTES
        return self._network.tensors[spec.name].pointer + slot * spec.height_px * spec.width_px * 3 * item_bytes

    def _set_temperature(self, temperature: float) -> None:
        if (tensor := self._network.tensors.get(contracts.TEMPERATURE)) is not None:
            self._temperature.view(np.float32, (1,))[0] = temperature
            self._temperature.upload(_FLOAT_BYTES, self._network.stream)
            self._device.copy(tensor.pointer, self._temperature.pointer, _FLOAT_BYTES, self._network.stream)

    def _restore(self, slot: int, request: Request) -> None:
        """Depth of the photograph's size, and behind it the smallest and largest values, in one buffer."""
        image, stream, held = self._graph.image, self._network.stream, self._depths[slot]
        height, width = request.image.shape[:2]
        depth_bytes = height * width * _FLOAT_BYTES
        self._kernels.restore_depth(
            self._network.tensors[contracts.DEPTH].pointer + slot * image.height_px * image.width_px * _FLOAT_BYTES,
            image.width_px,
            request.placement,
            height,
            width,
            held.pointer,
            held.pointer + depth_bytes,
            stream,
        )

    def _download(self, slot: int, request: Request, on_device: bool) -> None:
        held, (height, width) = self._depths[slot], request.image.shape[:2]
        depth_bytes, tail_bytes = height * width * _FLOAT_BYTES, self._kernels.partials_bytes(height, width)
        stream = self._network.stream
        if on_device:
            held.download(tail_bytes, stream, offset=depth_bytes)
        else:
            held.download(depth_bytes + tail_bytes, stream)

    def _depth(self, slot: int, request: Request, on_device: bool) -> Any:
        held, (height, width) = self._depths[slot], request.image.shape[:2]
        depth_bytes = height * width * _FLOAT_BYTES
        extremes = held.view(np.float32, (self._kernels.partials_bytes(height, width) // _FLOAT_BYTES,), depth_bytes)
        require_finite(float(extremes.sum(dtype=np.float64)))
        if on_device:
            return DeviceArray(held.pointer, (height, width), self._network.stream.handle, self, self._calls)
        depth = held.view(np.float32, (height, width))
        if request.out is None:
            return depth.copy()
        np.copyto(request.out, depth)
        return request.out
