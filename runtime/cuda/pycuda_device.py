"""The device layer on pycuda, which many Jetson images have. It has no CUDA graphs."""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from briges.runtime.cuda.device import Event, Graph, ParameterType, Stream
from briges.runtime.cuda.errors import cuda_error, memory_error, no_driver, no_such_device
from briges.runtime.errors import BackendError

_FORMATS: dict[ParameterType, str] = {"pointer": "P", "int32": "i", "float32": "f"}
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, for which pycuda has no name


class PycudaDevice:
    """See ``Device``."""

    has_graphs = False

    def __init__(self, index: int) -> None:
        """Open GPU number ``index``. Raises BackendError."""
        try:
            import pycuda
            import pycuda.driver as cuda
        except ImportError as error:  # libcuda is not there, or lacks what pycuda was built for
            raise no_driver(error) from error
        self._cuda: Any = cuda
        try:
            cuda.init()
        except cuda.Error as error:
            # pycuda keeps the code to itself, and a driver that loads hardly fails here for another reason.
            raise cuda_error(100, "CUDA_ERROR_NO_DEVICE", "starting CUDA", detail=str(error)) from error
        with _translated(cuda, "opening the GPU"):
            count = cuda.Device.count()
            if index >= count:
                raise no_such_device(index, count)
            device = cuda.Device(index)
            attributes = device.get_attributes()
            self.index, self.name, self.memory_bytes = index, device.name(), device.total_memory()
            self.compute_capability = ".".join(map(str, device.compute_capability()))
            # Of the driver's two kinds of context the primary one, which TensorRT uses too; pycuda.autoinit would make
            # another.
            self._context: Any = device.retain_primary_context()
        self.integrated = bool(attributes.get(cuda.device_attribute.INTEGRATED, 0))
        self.package = f"pycuda {pycuda.VERSION_TEXT}"
        # pycuda gives back what nobody refers to, and only where the context is current: until then it is held here.
        self._made: list[_Stream | _Event | _Kernel] = []
        self._modules: list[Any] = []

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """See ``Device.current``."""
        if self._context is None:
            raise BackendError(
                subject="CUDA", came="the device is closed", expected="an open one", cure="make a new estimator"
            )
        self._context.push()
        try:
            with _translated(self._cuda, "using the GPU"):
                yield
        finally:
            self._cuda.Context.pop()

    def memory(self) -> tuple[int, int]:
        """See ``Device.memory``."""
        free, whole = self._cuda.mem_get_info()
        return int(free), int(whole)

    def allocate(self, size_bytes: int) -> _Held:
        """See ``Device.allocate``."""
        try:
            made = self._cuda.mem_alloc(size_bytes)
        except self._cuda.MemoryError as error:
            raise memory_error("device memory", size_bytes, self.memory()[0]) from error
        return _Held(made, int(made), size_bytes)

    def allocate_host(self, size_bytes: int) -> _HeldHost:
        """See ``Device.allocate_host``."""
        flags = self._cuda.host_alloc_flags
        try:
            array = self._cuda.pagelocked_empty(size_bytes, np.uint8, mem_flags=flags.DEVICEMAP | flags.PORTABLE)
        except self._cuda.MemoryError as error:
            raise memory_error("page-locked host memory", size_bytes, None) from error
        return _HeldHost(array, int(array.base.get_device_pointer()))

    def stream(self) -> _Stream:
        """See ``Device.stream``."""
        return self._held(_Stream(self._cuda))

    def event(self) -> _Event:
        """See ``Device.event``."""
        return self._held(_Event(self._cuda))

    def copy(self, destination: int, source: int, size_bytes: int, stream: Stream) -> None:
        """See ``Device.copy``. Host buffers are addressed as the device sees them, so all copies are the device's."""
        assert isinstance(stream, _Stream)
        self._cuda.memcpy_dtod_async(destination, source, size_bytes, stream.made)

    def fill(self, destination: int, byte: int, size_bytes: int, stream: Stream) -> None:
        """See ``Device.fill``."""
        assert isinstance(stream, _Stream)
        self._cuda.memset_d8_async(destination, byte, size_bytes, stream.made)

    def capture(self, stream: Stream, enqueue: Callable[[], None]) -> Graph:
        """See ``Device.capture``: always refused."""
        return _no_graphs(self.package)

    def load_kernel(
        self, ptx: bytes, entry: str, parameters: Sequence[ParameterType], threads: int, shared_bytes: int
    ) -> _Kernel:
        """See ``Device.load_kernel``."""
        module = self._cuda.module_from_buffer(ptx + b"\0")
        self._modules.append(module)
        function = module.get_function(entry)
        if shared_bytes > 48 * 1024:
            function.set_attribute(self._cuda.function_attribute.MAX_DYNAMIC_SHARED_SIZE_BYTES, shared_bytes)
        return self._held(_Kernel(function, parameters, threads, shared_bytes))

    def _held(self, made: Made) -> Made:
        self._made = [*(earlier for earlier in self._made if not earlier.freed), made]
        return made

    def close(self) -> None:
        """See ``Device.close``."""
        if self._context is None:
            return
        # pycuda releases a primary context in the thread that retained it or where it is current, and never takes it
        # off the thread's stack again: so in a thread that ends.
        thread = threading.Thread(target=self._release)
        thread.start()
        thread.join()
        self._context = None

    def _release(self) -> None:
        self._context.push()
        with contextlib.suppress(self._cuda.Error):
            self._cuda.Context.synchronize()
        for made in self._made:
            made.free()
        self._made.clear()
        self._modules.clear()
        self._context.detach()


class _Held:
    def __init__(self, made: Any, pointer: int, size_bytes: int) -> None:
        self._made, self.pointer, self.size_bytes = made, pointer, size_bytes

    def free(self) -> None:
        made, self._made, self.pointer = self._made, None, 0
        if made is not None:
            made.free()


class _HeldHost:
    def __init__(self, array: NDArray[np.uint8], pointer: int) -> None:
        self.array, self.pointer, self.size_bytes = array, pointer, array.size

    def free(self) -> None:
        if self.pointer:
            self.array.base.free()  # type: ignore[union-attr]  # pycuda's allocation, which NumPy knows as any base
            self.array, self.pointer = np.empty(0, np.uint8), 0


class _Stream:
    def __init__(self, cuda: Any) -> None:
        self.made: Any = cuda.Stream(_NON_BLOCKING)
        self.handle = int(self.made.handle)
        self._cuda = cuda

    def wait(self, event: Event) -> None:
        assert isinstance(event, _Event)
        self.made.wait_for_event(event.made)

    def wait_for_stream(self, handle: int) -> None:
        # pycuda cannot mark a stream it did not make: wait on the host for all of the GPU instead.
        self._cuda.Context.synchronize()

    def synchronize(self) -> None:
        self.made.synchronize()

    def free(self) -> None:
        self.made = None

    @property
    def freed(self) -> bool:
        return self.made is None


class _Event:
    def __init__(self, cuda: Any) -> None:
        self.made: Any = cuda.Event()

    def record(self, stream: Stream) -> None:
        assert isinstance(stream, _Stream)
        self.made.record(stream.made)

    def synchronize(self) -> None:
        self.made.synchronize()

    def elapsed_ms(self, later: Event) -> float:
        assert isinstance(later, _Event)
        return float(self.made.time_till(later.made))

    def free(self) -> None:
        self.made = None

    @property
    def freed(self) -> bool:
        return self.made is None


class _Kernel:
    def __init__(self, function: Any, parameters: Sequence[ParameterType], threads: int, shared_bytes: int) -> None:
        self._format = "".join(_FORMATS[kind] for kind in parameters)
        function.prepare(self._format)
        self._function, self._block, self._shared_bytes = function, (threads, 1, 1), shared_bytes

    def free(self) -> None:
        self._function = None  # which holds its module

    @property
    def freed(self) -> bool:
        return self._function is None

    def launch(self, grid: tuple[int, int, int], arguments: Sequence[int | float], stream: Stream) -> None:
        assert isinstance(stream, _Stream)
        if len(arguments) != len(self._format):
            raise struct.error(f"{len(arguments)} arguments for {self._format}")
        self._function.prepared_async_call(grid, self._block, stream.made, *arguments, shared_size=self._shared_bytes)


Made = TypeVar("Made", _Stream, _Event, _Kernel)


@contextlib.contextmanager
def _translated(cuda: Any, doing: str) -> Iterator[None]:
    try:
        yield
    except cuda.Error as error:
        raise BackendError(
            subject=f"CUDA, {doing}",
            came=str(error),
            expected="calls that succeed",
            cure="restart the process; `briges doctor` shows driver and GPU",
        ) from error


def _no_graphs(library: str) -> NoReturn:
    raise BackendError(
        subject="cuda_graph",
        came=f"{library} cannot record CUDA graphs",
        expected="cuda-python",
        cure="pip install 'briges-trt[cuda]', or leave cuda_graph at \"auto\"",
    )
