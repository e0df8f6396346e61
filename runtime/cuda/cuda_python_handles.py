"""What a device of cuda-python makes: buffers, streams, events, graphs, kernels."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from briges.runtime.cuda.device import Event, ParameterType, Stream
from briges.runtime.cuda.errors import cuda_error

_STATIC_SHARED_BYTES = 48 * 1024  # more than this a kernel must be allowed to have
_C_TYPES: dict[ParameterType, Any] = {
    "pointer": ctypes.c_void_p,
    "int32": ctypes.c_int32,
    "float32": ctypes.c_float,
}


class Driver:
    """The bindings' module, called with every answer checked."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def call(self, doing: str, function: Any, *arguments: Any) -> Any:
        """What the function gives: None, a value, or a tuple of several. Raises BackendError."""
        code, *values = function(*arguments)
        if int(code):
            raise cuda_error(int(code), code.name, doing)
        return values[0] if len(values) == 1 else tuple(values) or None


class CudaPythonBuffer:
    """See ``Buffer``."""

    def __init__(self, driver: Driver, pointer: int, size_bytes: int) -> None:
        self._driver, self.pointer, self.size_bytes = driver, pointer, size_bytes

    def free(self) -> None:
        """See ``Buffer.free``."""
        pointer, self.pointer = self.pointer, 0
        if pointer:
            self._driver.call("freeing device memory", self._driver.module.cuMemFree, pointer)


class CudaPythonHostBuffer:
    """See ``HostBuffer``."""

    def __init__(self, driver: Driver, address: int, pointer: int, size_bytes: int) -> None:
        self._driver, self._address = driver, address
        self.pointer, self.size_bytes = pointer, size_bytes
        memory: Any = (ctypes.c_uint8 * size_bytes).from_address(address)
        self.array: NDArray[np.uint8] = np.frombuffer(memory, np.uint8)

    def free(self) -> None:
        """See ``HostBuffer.free``."""
        address, self._address, self.pointer = self._address, 0, 0
        if address:
            self.array = self.array[:0]
            self._driver.call("freeing host memory", self._driver.module.cuMemFreeHost, address)


class CudaPythonStream:
    """See ``Stream``."""

    def __init__(self, driver: Driver) -> None:
        flag = driver.module.CUstream_flags.CU_STREAM_NON_BLOCKING
        self._driver = driver
        self.handle = int(driver.call("making a stream", driver.module.cuStreamCreate, int(flag)))
        self._foreign = CudaPythonEvent(driver)

    def wait(self, event: Event) -> None:
        """See ``Stream.wait``."""
        assert isinstance(event, CudaPythonEvent)
        wait = self._driver.module.cuStreamWaitEvent
        self._driver.call("waiting for an event", wait, self.handle, event.handle, 0)

    def wait_for_stream(self, handle: int) -> None:
        """See ``Stream.wait_for_stream``."""
        self._foreign.record_on(handle)
        self.wait(self._foreign)

    def synchronize(self) -> None:
        """See ``Stream.synchronize``."""
        self._driver.call("waiting for the GPU", self._driver.module.cuStreamSynchronize, self.handle)

    def free(self) -> None:
        """See ``Stream.free``."""
        handle, self.handle = self.handle, 0
        if handle:
            self._foreign.free()
            self._driver.call("freeing a stream", self._driver.module.cuStreamDestroy, handle)


class CudaPythonEvent:
    """See ``Event``."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.handle = driver.call("making an event", driver.module.cuEventCreate, 0)

    def record(self, stream: Stream) -> None:
        """See ``Event.record``."""
        self.record_on(stream.handle)

    def record_on(self, handle: int) -> None:
        """Put the mark into another library's stream."""
        self._driver.call("marking a stream", self._driver.module.cuEventRecord, self.handle, handle)

    def synchronize(self) -> None:
        """See ``Event.synchronize``."""
        self._driver.call("waiting for the GPU", self._driver.module.cuEventSynchronize, self.handle)

    def elapsed_ms(self, later: Event) -> float:
        """See ``Event.elapsed_ms``."""
        assert isinstance(later, CudaPythonEvent)
        elapsed = self._driver.module.cuEventElapsedTime
        return float(self._driver.call("reading a clock", elapsed, self.handle, later.handle))

    def free(self) -> None:
        """See ``Event.free``."""
        handle, self.handle = self.handle, None
        if handle is not None:
            self._driver.call("freeing an event", self._driver.module.cuEventDestroy, handle)


class CudaPythonGraph:
    """See ``Graph``."""

    def __init__(self, driver: Driver, executable: Any) -> None:
        self._driver, self._executable = driver, executable

    def launch(self, stream: Stream) -> None:
        """See ``Graph.launch``."""
        launch = self._driver.module.cuGraphLaunch
        self._driver.call("replaying a CUDA graph", launch, self._executable, stream.handle)

    def free(self) -> None:
        """See ``Graph.free``."""
        executable, self._executable = self._executable, None
        if executable is not None:
            self._driver.call("freeing a CUDA graph", self._driver.module.cuGraphExecDestroy, executable)


class CudaPythonKernel:
    """See ``Kernel``. The memory of its arguments is made once and written anew at each launch."""

    def __init__(
        self, driver: Driver, function: Any, parameters: Sequence[ParameterType], threads: int, shared_bytes: int
    ) -> None:
        self._driver, self._function = driver, function
        self._threads, self._shared_bytes = threads, shared_bytes
        if shared_bytes > _STATIC_SHARED_BYTES:
            attribute = driver.module.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            allow = driver.module.cuFuncSetAttribute
            driver.call(f"allowing {shared_bytes} bytes of shared memory", allow, function, attribute, shared_bytes)
        self._values = [_C_TYPES[kind]() for kind in parameters]
        self._addresses = (ctypes.c_void_p * len(parameters))(*map(ctypes.addressof, self._values))
        # The driver reads the arguments before the launch returns: threads take turns with this memory alone.
        self._lock = threading.Lock()

    def launch(self, grid: tuple[int, int, int], arguments: Sequence[int | float], stream: Stream) -> None:
        """See ``Kernel.launch``."""
        launch, block = self._driver.module.cuLaunchKernel, (self._threads, 1, 1)
        with self._lock:
            for value, argument in zip(self._values, arguments, strict=True):
                value.value = argument
            self._driver.call(
                "starting a kernel",
                launch,
                self._function,
                *grid,
                *block,
                self._shared_bytes,
                stream.handle,
                ctypes.addressof(self._addresses),
                0,
            )
