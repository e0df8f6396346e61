"""The device layer on cuda-python, NVIDIA's own bindings to the driver."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import Any

from briges.runtime.cuda.cuda_python_handles import (
    CudaPythonBuffer,
    CudaPythonEvent,
    CudaPythonGraph,
    CudaPythonHostBuffer,
    CudaPythonKernel,
    CudaPythonStream,
    Driver,
)
from briges.runtime.cuda.device import ParameterType, Stream
from briges.runtime.cuda.errors import OUT_OF_MEMORY, cuda_error, memory_error, no_driver, no_such_device
from briges.runtime.errors import BackendError

_NAME_BYTES = 256
_JIT_LOG_BYTES = 4096


class CudaPythonDevice:
    """See ``Device``."""

    has_graphs = True

    def __init__(self, index: int) -> None:
        """Open GPU number ``index``. Raises BackendError."""
        self._driver = Driver(_import_driver())
        call, cuda = self._driver.call, self._driver.module
        try:
            call("starting CUDA", cuda.cuInit, 0)
        except BackendError:
            raise
        except Exception as error:  # what cuda-python raises where there is no libcuda depends on its release
            raise no_driver(error) from error
        count = call("counting the GPUs", cuda.cuDeviceGetCount)
        if index >= count:
            raise no_such_device(index, count)
        device = call("opening the GPU", cuda.cuDeviceGet, index)
        attributes = cuda.CUdevice_attribute

        def ask(name: str) -> int:
            wanted = getattr(attributes, f"CU_DEVICE_ATTRIBUTE_{name}")
            return int(call("asking the GPU", cuda.cuDeviceGetAttribute, wanted, device))

        self.index = index
        name = call("asking the GPU", cuda.cuDeviceGetName, _NAME_BYTES, device)
        self.name = name.partition(b"\0")[0].decode(errors="replace").strip()
        self.memory_bytes = int(call("asking the GPU", cuda.cuDeviceTotalMem, device))
        self.compute_capability = f"{ask('COMPUTE_CAPABILITY_MAJOR')}.{ask('COMPUTE_CAPABILITY_MINOR')}"
        self.integrated = bool(ask("INTEGRATED"))
        self.package = f"cuda-python {_version()}"
        self._device = device
        self._context: Any = call("taking the GPU's primary context", cuda.cuDevicePrimaryCtxRetain, device)
        # What this device made and nobody gives back one by one.
        self._streams: list[CudaPythonStream] = []
        self._events: list[CudaPythonEvent] = []
        self._modules: list[Any] = []

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """See ``Device.current``."""
        cuda = self._driver.module
        if self._context is None:
            raise BackendError(
                subject="CUDA", came="the device is closed", expected="an open one", cure="make a new estimator"
            )
        self._driver.call("making the context current", cuda.cuCtxPushCurrent, self._context)
        try:
            yield
        finally:
            self._driver.call("leaving the context", cuda.cuCtxPopCurrent)

    def memory(self) -> tuple[int, int]:
        """See ``Device.memory``."""
        free, whole = self._driver.call("asking for free memory", self._driver.module.cuMemGetInfo)
        return int(free), int(whole)

    def allocate(self, size_bytes: int) -> CudaPythonBuffer:
        """See ``Device.allocate``."""
        pointer = self._allocate("device memory", self._driver.module.cuMemAlloc, size_bytes)
        return CudaPythonBuffer(self._driver, int(pointer), size_bytes)

    def allocate_host(self, size_bytes: int) -> CudaPythonHostBuffer:
        """See ``Device.allocate_host``."""
        cuda = self._driver.module
        flags = cuda.CU_MEMHOSTALLOC_DEVICEMAP | cuda.CU_MEMHOSTALLOC_PORTABLE
        address = int(self._allocate("page-locked host memory", cuda.cuMemHostAlloc, size_bytes, flags))
        pointer = self._driver.call("mapping host memory", cuda.cuMemHostGetDevicePointer, address, 0)
        return CudaPythonHostBuffer(self._driver, address, int(pointer), size_bytes)

    def stream(self) -> CudaPythonStream:
        """See ``Device.stream``."""
        made = CudaPythonStream(self._driver)
        self._streams = [*(stream for stream in self._streams if stream.handle), made]
        return made

    def event(self) -> CudaPythonEvent:
        """See ``Device.event``."""
        made = CudaPythonEvent(self._driver)
        self._events = [*(event for event in self._events if event.handle is not None), made]
        return made

    def copy(self, destination: int, source: int, size_bytes: int, stream: Stream) -> None:
        """See ``Device.copy``."""
        copy = self._driver.module.cuMemcpyAsync
        self._driver.call(f"copying {size_bytes} bytes", copy, destination, source, size_bytes, stream.handle)

    def fill(self, destination: int, byte: int, size_bytes: int, stream: Stream) -> None:
        """See ``Device.fill``."""
        fill = self._driver.module.cuMemsetD8Async
        self._driver.call(f"filling {size_bytes} bytes", fill, destination, byte, size_bytes, stream.handle)

    def capture(self, stream: Stream, enqueue: Callable[[], None]) -> CudaPythonGraph:
        """See ``Device.capture``."""
        cuda, call = self._driver.module, self._driver.call
        mode = cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        call("recording a CUDA graph", cuda.cuStreamBeginCapture, stream.handle, mode)
        try:
            enqueue()
        except BaseException:
            # The stream must leave the recording; that it was spoilt is known already.
            _, *graphs = cuda.cuStreamEndCapture(stream.handle)
            if graphs and int(graphs[0]):
                cuda.cuGraphDestroy(graphs[0])
            raise
        graph = call("recording a CUDA graph", cuda.cuStreamEndCapture, stream.handle)
        try:
            executable = call("preparing a CUDA graph", cuda.cuGraphInstantiate, graph, 0)
        finally:
            call("preparing a CUDA graph", cuda.cuGraphDestroy, graph)
        return CudaPythonGraph(self._driver, executable)

    def load_kernel(
        self, ptx: bytes, entry: str, parameters: Sequence[ParameterType], threads: int, shared_bytes: int
    ) -> CudaPythonKernel:
        """See ``Device.load_kernel``."""
        cuda = self._driver.module
        options = cuda.CUjit_option
        log = bytearray(_JIT_LOG_BYTES)
        keys = [options.CU_JIT_ERROR_LOG_BUFFER, options.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES]
        code, module = cuda.cuModuleLoadDataEx(ptx + b"\0", len(keys), keys, [log, _JIT_LOG_BYTES])
        if int(code):
            said = bytes(log).partition(b"\0")[0].decode(errors="replace").strip()
            raise cuda_error(int(code), code.name, f"loading the kernel {entry}", detail=said)
        self._modules.append(module)
        function = self._driver.call(f"finding the kernel {entry}", cuda.cuModuleGetFunction, module, entry.encode())
        return CudaPythonKernel(self._driver, function, parameters, threads, shared_bytes)

    def close(self) -> None:
        """See ``Device.close``."""
        if self._context is None:
            return
        cuda = self._driver.module
        # After an error that CUDA does not recover from these calls fail too, and there is nothing left to free.
        with contextlib.suppress(BackendError), self.current():
            self._driver.call("waiting for the GPU", cuda.cuCtxSynchronize)
            for event in self._events:
                event.free()
            for stream in self._streams:
                stream.free()
            for module in self._modules:
                self._driver.call("unloading a kernel", cuda.cuModuleUnload, module)
        self._context = None
        cuda.cuDevicePrimaryCtxRelease(self._device)

    def _allocate(self, what: str, allocate: Any, size_bytes: int, *flags: int) -> Any:
        code, made = allocate(size_bytes, *flags)
        if int(code) == OUT_OF_MEMORY:
            raise memory_error(what, size_bytes, self.memory()[0])
        if int(code):
            raise cuda_error(int(code), code.name, f"allocating {size_bytes} bytes of {what}")
        return made


def _import_driver() -> Any:
    try:
        return importlib.import_module("cuda.bindings.driver")
    except ModuleNotFoundError:
        return importlib.import_module("cuda.cuda")  # as releases before 12.6 have it


def _version() -> str:
    for package in ("cuda-bindings", "cuda-python"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return "of an unknown release"
