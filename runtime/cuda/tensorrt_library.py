"""TensorRT's own objects, made with every answer checked: its bindings return None and False where others raise."""

from __future__ import annotations

import logging
import mmap
import threading
from pathlib import Path
from typing import Any

from briges.runtime.errors import BackendError
from briges.runtime.manifest import DType, Engine

logger = logging.getLogger("briges.tensorrt")

_REBUILD = "build it again on this machine with `briges build`; if memory is short, close what else uses the GPU"
# TensorRT's names of what passes in and out of our engines.
_TYPES: dict[str, DType] = {"UINT8": "uint8", "FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16"}
_LEVELS = {
    "INTERNAL_ERROR": logging.ERROR,
    "ERROR": logging.ERROR,
    "WARNING": logging.WARNING,
    "INFO": logging.DEBUG,  # dozens of lines per engine
    "VERBOSE": logging.DEBUG,
}


class Library:
    """One TensorRT, ``tensorrt`` or ``tensorrt_rtx``, and the errors of its last call.

    Its log goes to the logger "briges.tensorrt": errors and warnings as such, the rest as debug messages.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.name = f"{module.__name__} {module.__version__}"
        self._heard = _Heard()
        self._log = _make_log(module, self._heard)  # TensorRT keeps no reference to it
        self._runtime = self._made("a runtime", module.Runtime(self._log))

    def load_engine(self, path: Path, record: Engine, *, host_code: bool) -> Any:
        """Deserialise ``path`` and compare it with what the manifest says of it. Raises BackendError.

        host_code: it may bring code for the CPU, as version-compatible engines do.
        """
        if host_code:
            self._runtime.engine_host_code_allowed = True
        self._heard.errors.clear()
        try:
            # Mapped, not read: of a 1.5 GB engine no copy is in memory beside TensorRT's own.
            with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
                engine = self._runtime.deserialize_cuda_engine(data)
        except (OSError, ValueError) as error:  # mmap has its own answer to an empty file
            raise self.failed(f"cannot read {path.name}: {error}") from error
        self._made(f"an engine of {path.name}", engine)
        self._compare(engine, record)
        return engine

    def make_context(self, engine: Any, memory: tuple[int, int]) -> Any:
        """An execution context that computes in the device memory ``memory``, (address, bytes). Raises BackendError."""
        self._heard.errors.clear()
        strategy = self.module.ExecutionContextAllocationStrategy.USER_MANAGED
        context = self._made("an execution context", engine.create_execution_context(strategy))
        address, size_bytes = memory
        if hasattr(context, "set_device_memory"):
            context.set_device_memory(address, size_bytes)
        else:  # TensorRT 10.0
            context.device_memory = address
        return context

    def bind(self, context: Any, tensor: str, address: int) -> None:
        """Tell the context once where a tensor lies. Raises BackendError."""
        if not context.set_tensor_address(tensor, address):
            raise self.failed(f"it refused the address of {tensor}")

    def enqueue(self, context: Any, stream: int) -> None:
        """Queue one inference. Raises BackendError."""
        self._heard.errors.clear()
        if not context.execute_async_v3(stream):
            raise self.failed("it refused to start an inference")

    def failed(self, came: str) -> BackendError:
        """The error for what TensorRT did not do, with its own words where it had some."""
        # The first is the cause, what follows its consequences.
        said = f": {self._heard.errors[0]}" if self._heard.errors else ""
        return BackendError(
            subject=self.name, came=f"{came}{said}", expected="the engine of this bundle on this GPU", cure=_REBUILD
        )

    def _made(self, what: str, made: Any) -> Any:
        if made is None:
            raise self.failed(f"it made no {what.partition(' ')[2]}")
        return made

    def _compare(self, engine: Any, record: Engine) -> None:
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = self.module.TensorIOMode.INPUT
        found = {
            name: (
                "input" if engine.get_tensor_mode(name) == inputs else "output",
                _TYPES.get(engine.get_tensor_dtype(name).name, "another type"),
                tuple(engine.get_tensor_shape(name)),
            )
            for name in names
        }
        expected = {
            tensor.name: (kind, tensor.dtype, tensor.shape)
            for kind, tensors in (("input", record.inputs), ("output", record.outputs))
            for tensor in tensors
        }
        if found != expected:
            raise BackendError(
                subject=f"engine {record.file}",
                came=f"it has the tensors {found}",
                expected=f"{expected}, as its manifest says",
                cure=_REBUILD,
            )


def activation_bytes(engine: Any) -> int:
    """Device memory that one inference needs for intermediate results."""
    size = engine.device_memory_size_v2 if hasattr(engine, "device_memory_size_v2") else engine.device_memory_size
    return int(size)


class _Heard(threading.local):
    """Errors of the calls of each thread: clones call at the same time."""

    def __init__(self) -> None:
        self.errors: list[str] = []


def _make_log(module: Any, heard: _Heard) -> Any:
    class Log(module.ILogger):  # type: ignore[misc]  # its base is only known here
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            level = _LEVELS.get(severity.name, logging.DEBUG)
            if level == logging.ERROR:
                heard.errors.append(message)
            logger.log(level, "%s", message)

    return Log()
