"""The engines of one input size on the GPU: contexts, tensors, two streams, and a CUDA graph of it all."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from briges.runtime import contracts
from briges.runtime.backend import GraphChoice
from briges.runtime.cuda.device import Buffer, Device, Event, Graph
from briges.runtime.cuda.tensorrt_library import Library, activation_bytes
from briges.runtime.errors import BackendError
from briges.runtime.manifest import Engine, Tensor

logger = logging.getLogger("briges")

_ITEM_BYTES = {"uint8": 1, "float16": 2, "bfloat16": 2, "float32": 4}
_NAN_BYTE = 0xFF  # four of them are a NaN


@dataclass(frozen=True, eq=False)
class LoadedEngine:
    """An engine file, deserialised."""

    record: Engine
    engine: Any


class Activations:
    """Device memory for intermediate results: one block for what runs in turn, one for the semantic encoder, which runs
    beside the geometry encoder.
    """

    def __init__(self, device: Device, engines: Sequence[LoadedEngine]) -> None:
        """As much as the largest of ``engines`` needs. Raises BackendError."""
        sizes = {True: 0, False: 0}
        for loaded in engines:
            semantic = loaded.record.part == "semantic"
            sizes[semantic] = max(sizes[semantic], activation_bytes(loaded.engine))
        self._blocks: dict[bool, Buffer] = {}
        try:
            for semantic, size_bytes in sizes.items():
                if size_bytes:
                    self._blocks[semantic] = device.allocate(size_bytes)
        except BaseException:
            self.free()
            raise

    def of(self, record: Engine) -> tuple[int, int]:
        """Address and size of the block that ``record`` computes in; zeros where it needs none."""
        block = self._blocks.get(record.part == "semantic")
        return (block.pointer, block.size_bytes) if block else (0, 0)

    def free(self) -> None:
        """Give the memory back; a second call does nothing."""
        for block in self._blocks.values():
            block.free()


class SizedNetwork:
    """What runs one input size. ``tensors``: the device memory of every input and output, written and read in
    ``stream``.
    """

    def __init__(
        self,
        device: Device,
        library: Library,
        engines: Sequence[LoadedEngine],
        activations: Activations,
        cuda_graph: GraphChoice,
    ) -> None:
        """Bind ``engines``, in the order they run. Raises BackendError."""
        if cuda_graph is True and not device.has_graphs:
            raise BackendError(
                subject="cuda_graph",
                came=f"{device.package} cannot record CUDA graphs",
                expected="cuda-python",
                cure="pip install 'briges-trt[cuda]', or leave cuda_graph at \"auto\"",
            )
        self._device, self._library, self._insists = device, library, cuda_graph is True
        self._records = cuda_graph is not False and device.has_graphs
        self.stream, self._side = device.stream(), device.stream()
        self._begun, self._joined = device.event(), device.event()
        self._graphs: dict[bool, Graph] = {}
        self.tensors: dict[str, Buffer] = {}
        self._contexts: list[tuple[Engine, Any]] = []
        self._marks: dict[str, tuple[Event, Event]] = {
            loaded.record.part: (device.event(), device.event()) for loaded in engines
        }
        self._timed: list[str] = []
        try:
            for loaded in engines:
                context = library.make_context(loaded.engine, activations.of(loaded.record))
                for tensor in (*loaded.record.inputs, *loaded.record.outputs):
                    library.bind(context, tensor.name, self._tensor(tensor).pointer)
                self._contexts.append((loaded.record, context))
        except BaseException:
            self.free()
            raise

    def run(self, *, refresh_semantics: bool) -> None:
        """Queue one inference on ``stream``: depth from the inputs. Raises BackendError.

        refresh_semantics: False leaves out the semantic part of a split model, whose features stay as they are.
        """
        depth = self.tensors[contracts.DEPTH]
        # So that an output the engine did not write can never pass for depth.
        self._device.fill(depth.pointer, _NAN_BYTE, depth.size_bytes, self.stream)
        if graph := self._graphs.get(refresh_semantics):
            self._timed = []
            graph.launch(self.stream)
            return
        # TensorRT prepares things in a context's first inference, which cannot be recorded: it runs by itself once.
        self._enqueue(refresh_semantics, self._marks)
        if self._records:
            self._record(refresh_semantics)

    def parts_ms(self) -> list[tuple[str, float]]:
        """The part and device milliseconds of each engine of the last ``run``, which is done; none of a graph's."""
        return [(part, self._marks[part][0].elapsed_ms(self._marks[part][1])) for part in self._timed]

    def synchronize(self) -> None:
        """Wait for everything queued, also where an error came between. Raises BackendError."""
        self._side.synchronize()
        self.stream.synchronize()

    def free(self) -> None:
        """Give everything back."""
        self._contexts.clear()
        for graph in self._graphs.values():
            graph.free()
        for tensor in self.tensors.values():
            tensor.free()
        for event in (self._begun, self._joined, *(mark for pair in self._marks.values() for mark in pair)):
            event.free()
        for stream in (self._side, self.stream):
            stream.free()
        self._graphs.clear()

    def _record(self, refresh_semantics: bool) -> None:
        try:
            self._graphs[refresh_semantics] = self._device.capture(
                self.stream, lambda: self._enqueue(refresh_semantics, {})
            )
        except BackendError as error:
            if self._insists:
                raise
            logger.warning("runs without a CUDA graph: %s", error)
            self._records = False

    def _enqueue(self, refresh_semantics: bool, marks: Mapping[str, tuple[Event, Event]]) -> None:
        """The encoders beside each other, what needs both of them after both. ``marks``: of the parts to be timed."""
        beside = refresh_semantics and any(record.part == "semantic" for record, _ in self._contexts)
        if beside:
            self._begun.record(self.stream)
            self._side.wait(self._begun)
        self._timed = []
        for record, context in self._contexts:
            semantic = record.part == "semantic"
            if semantic and not refresh_semantics:
                continue
            if beside and record.part == "fusion":
                self.stream.wait(self._joined)
            stream, mark = self._side if semantic else self.stream, marks.get(record.part)
            if mark:
                mark[0].record(stream)
            self._library.enqueue(context, stream.handle)
            if mark:
                mark[1].record(stream)
                self._timed.append(record.part)
            if semantic:
                self._joined.record(self._side)

    def _tensor(self, tensor: Tensor) -> Buffer:
        # What one part writes and another reads is one buffer.
        if tensor.name not in self.tensors:
            self.tensors[tensor.name] = self._device.allocate(math.prod(tensor.shape) * _ITEM_BYTES[tensor.dtype])
        return self.tensors[tensor.name]
