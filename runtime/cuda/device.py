"""What the runtime needs of CUDA, and nothing else: memory, copies, streams, events, graphs, kernels.

Two packages can give it: cuda-python, and pycuda, which many Jetson images have. Every call is made with the device's
primary context current, see ``Device.current``: nothing relies on a context that some other library left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

ParameterType = Literal["pointer", "int32", "float32"]


class Stream(Protocol):
    """An own, non-default stream that does not wait for the legacy default stream. ``handle``: its CUstream."""

    handle: int

    def wait(self, event: Event) -> None:
        """Work queued after this starts when ``event``, as it was recorded last, has happened."""

    def wait_for_stream(self, handle: int) -> None:
        """Work queued after this starts when what another library queued on the stream ``handle`` so far is done."""

    def synchronize(self) -> None:
        """Wait on the host until everything queued is done. Raises BackendError for what failed on the way."""

    def free(self) -> None:
        """Give it back; a second call does nothing."""


class Event(Protocol):
    """A mark in a stream."""

    def record(self, stream: Stream) -> None:
        """Put the mark behind what is queued in ``stream``."""

    def synchronize(self) -> None:
        """Wait on the host until it has happened. Raises BackendError."""

    def elapsed_ms(self, later: Event) -> float:
        """Milliseconds from this mark to ``later``; both have happened."""

    def free(self) -> None:
        """Give it back; a second call does nothing."""


class Buffer(Protocol):
    """Device memory; ``pointer`` is its address there."""

    pointer: int
    size_bytes: int

    def free(self) -> None:
        """Give it back; a second call does nothing."""


class HostBuffer(Protocol):
    """Page-locked host memory, mapped into the device's address space.

    ``array``: uint8 [size_bytes], the host's view. ``pointer``: the address by which the device reads and writes it.
    """

    array: NDArray[np.uint8]
    pointer: int
    size_bytes: int

    def free(self) -> None:
        """Give it back; ``array`` must not be used any more. A second call does nothing."""


class Graph(Protocol):
    """Recorded work that is queued with one call."""

    def launch(self, stream: Stream) -> None:
        """Queue it. Raises BackendError."""

    def free(self) -> None:
        """Give it back; a second call does nothing."""


class Kernel(Protocol):
    """A function on the device."""

    def launch(self, grid: tuple[int, int, int], arguments: Sequence[int | float], stream: Stream) -> None:
        """Queue it over ``grid`` blocks; ``arguments`` in the order and of the types it was loaded with."""


class Device(Protocol):
    """One GPU and its primary context.

    ``index``: in the driver's order. ``compute_capability``: such as "8.7". ``memory_bytes``: all of it.
    ``integrated``: CPU and GPU share their memory, as on Jetson. ``package``: what drives it, such as
    "cuda-python 13.0.1". ``has_graphs``: whether ``capture`` works.
    """

    index: int
    name: str
    compute_capability: str
    memory_bytes: int
    integrated: bool
    package: str
    has_graphs: bool

    def current(self) -> AbstractContextManager[None]:
        """Make the primary context current in this thread, and what was current before again at the end.

        Everything below, and every method of what it gives, is called inside such a block. It may be nested.
        """

    def memory(self) -> tuple[int, int]:
        """Free bytes and all bytes of the device's memory."""

    def allocate(self, size_bytes: int) -> Buffer:
        """Device memory. Raises BackendError, if it is short with how much was asked for and how much is free."""

    def allocate_host(self, size_bytes: int) -> HostBuffer:
        """Page-locked, mapped host memory. Raises BackendError."""

    def stream(self) -> Stream:
        """A new stream; if nobody gives it back, the device does when it is closed."""

    def event(self) -> Event:
        """A new event with timing; if nobody gives it back, the device does when it is closed."""

    def copy(self, destination: int, source: int, size_bytes: int, stream: Stream) -> None:
        """Queue a copy between any two addresses the device knows, host buffers among them."""

    def fill(self, destination: int, byte: int, size_bytes: int, stream: Stream) -> None:
        """Queue setting every byte of device memory to ``byte``."""

    def capture(self, stream: Stream, enqueue: Callable[[], None]) -> Graph:
        """Record what ``enqueue`` queues on ``stream``, and on streams that it joins to it by events.

        Nothing runs. Raises BackendError if something in it cannot be recorded, or where there are no graphs; the
        stream can be used again afterwards in any case, also when ``enqueue`` raised.
        """

    def load_kernel(
        self, ptx: bytes, entry: str, parameters: Sequence[ParameterType], threads: int, shared_bytes: int
    ) -> Kernel:
        """Load the function ``entry`` of the module ``ptx``; the device keeps it until it is closed.

        threads: of one block. shared_bytes: its dynamic shared memory. Raises BackendError, with what the driver said.
        """

    def close(self) -> None:
        """Wait for the device, give streams, events and kernels back, and leave the context; once. Buffers and graphs
        are given back by whoever asked for them.
        """
