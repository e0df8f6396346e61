"""Runs a bundle's model on ONNX Runtime: on the CPU, or on CUDA where onnxruntime-gpu is installed and works."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from briges.runtime import contracts
from briges.runtime.backend import Provider
from briges.runtime.errors import BackendError, MissingExtraError
from briges.runtime.manifest import Engine, Tensor

_ERRORS_ONLY = 3
_TYPES = {
    "uint8": "tensor(uint8)",
    "float32": "tensor(float)",
    "float16": "tensor(float16)",
    "bfloat16": "tensor(bfloat16)",
}


Sessions = dict[str, Any]  # engine file -> ONNX Runtime session


def import_onnxruntime() -> Any:
    """The package, told to send nothing anywhere. Raises MissingExtraError."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            subject="backend onnxruntime",
            came="the package onnxruntime is not installed",
            expected="ONNX Runtime, which runs this bundle",
            cure="pip install 'briges-trt[cpu]', or 'briges-trt[gpu]' for CUDA",
        ) from error
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def open_sessions(folder: Path, engines: tuple[Engine, ...], provider: Provider, threads: int | None) -> Sessions:
    """Load each engine once, however many sizes it serves.

    threads: CPU threads of one inference, None for one per core. Raises BackendError, MissingExtraError.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # The planned pattern is allocated beside the arena of the first run: on briges-v2-b at 518x518 it doubled the
    # activations from 3.1 to 6.2 GB and was no faster (ONNX Runtime 1.31.1, two CPU cores).
    options.enable_mem_pattern = False
    if threads is not None:
        options.intra_op_num_threads = threads
    providers = _providers(onnxruntime, provider)
    sessions: Sessions = {}
    for engine in engines:
        try:
            session = onnxruntime.InferenceSession(str(folder / engine.file), options, providers=providers)
        except Exception as error:  # ONNX Runtime has no common base class for its errors
            raise _failed(f"cannot load {engine.file}", error) from error
        used = session.get_providers()[0]
        if provider == "cuda" and used != "CUDAExecutionProvider":
            raise BackendError(
                subject="backend onnxruntime",
                came=f"CUDA was asked for, ONNX Runtime fell back to {used}",
                expected="a CUDA device, its driver and the CUDA and cuDNN libraries of this onnxruntime-gpu",
                cure="install those, or use --provider cpu",
            )
        sessions[engine.file] = session
    return sessions


class OnnxBackend:
    """ONNX Runtime sessions bound to fixed host arrays: one, or the parts of a split model in the order they run."""

    def __init__(self, engines: tuple[Engine, ...], sessions: Sessions) -> None:
        """Bind ``engines``, which serve one size, to their sessions. Raises BackendError."""
        self._engines = engines
        self._sessions = [sessions[engine.file] for engine in engines]
        self.name = self.name_of(self._sessions[0])
        # Before anything is allocated: the sizes of a wrong manifest may not even fit into memory.
        for engine, session in zip(engines, self._sessions, strict=True):
            _require_tensors("inputs", session.get_inputs(), engine.inputs)
            _require_tensors("outputs", session.get_outputs(), engine.outputs)
        # A tensor that one part writes and a later one reads is one array.
        self._arrays: dict[str, NDArray[Any]] = {
            tensor.name: np.zeros(tensor.shape, tensor.dtype)
            for engine in engines
            for tensor in (*engine.inputs, *engine.outputs)
        }
        made = {tensor.name for engine in engines for tensor in engine.outputs}
        self.inputs = {name: array for name, array in self._arrays.items() if name not in made}
        if contracts.TEMPERATURE in self.inputs:
            self.inputs[contracts.TEMPERATURE][:] = 1.0
        self.output = self._arrays[contracts.DEPTH]
        self._bindings = [session.io_binding() for session in self._sessions]
        for engine, binding in zip(engines, self._bindings, strict=True):
            for tensor in engine.outputs:
                out = self._arrays[tensor.name]
                binding.bind_output(tensor.name, "cpu", 0, out.dtype.type, out.shape, out.ctypes.data)

    @staticmethod
    def name_of(session: Any) -> str:
        """What runs ``session``, such as "onnxruntime 1.31.1 CPU"."""
        import onnxruntime

        provider = session.get_providers()[0].removesuffix("ExecutionProvider")
        return f"onnxruntime {onnxruntime.__version__} {provider}"

    def run(self, *, refresh_semantics: bool = True) -> list[tuple[str, float]]:
        """Fill ``output`` from ``inputs``; gives each engine's part and host milliseconds. Raises BackendError.

        refresh_semantics: False leaves out the semantic part of a split model, whose features stay as they are.
        """
        parts: list[tuple[str, float]] = []
        try:
            self.output.fill(np.nan)  # so that an output the engine did not write can never pass for depth
            for engine, session, binding in zip(self._engines, self._sessions, self._bindings, strict=True):
                if engine.part == "semantic" and not refresh_semantics:
                    continue
                started = time.perf_counter()
                # Bound anew each time: on CUDA it is the binding, not the run, that copies the input to the device.
                for tensor in engine.inputs:
                    array = self._arrays[tensor.name]
                    binding.bind_input(tensor.name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
                session.run_with_iobinding(binding)
                binding.synchronize_outputs()
                parts.append((engine.part, (time.perf_counter() - started) * 1000))
        except Exception as error:
            raise _failed("inference failed", error) from error
        return parts

    def close(self) -> None:
        """Release the sessions and their weights."""
        del self._bindings, self._sessions


def _providers(onnxruntime: Any, provider: Provider) -> list[str]:
    wanted = ["CUDAExecutionProvider"] if provider != "cpu" else []
    available = onnxruntime.get_available_providers()
    if provider == "cuda" and wanted[0] not in available:
        raise MissingExtraError(
            subject="backend onnxruntime",
            came="this ONNX Runtime was built without CUDA",
            expected="onnxruntime-gpu",
            cure="pip uninstall onnxruntime, then pip install 'briges-trt[gpu]'; or use --provider cpu",
        )
    return [name for name in wanted if name in available] + ["CPUExecutionProvider"]


def _require_tensors(what: str, nodes: Sequence[Any], tensors: Sequence[Tensor]) -> None:
    found = {node.name: f"{node.type} {list(node.shape)}" for node in nodes}
    expected = {tensor.name: f"{_TYPES[tensor.dtype]} {list(tensor.shape)}" for tensor in tensors}
    if found != expected:
        raise BackendError(
            subject="backend onnxruntime",
            came=f"the model has {what} {found}",
            expected=f"{what} {expected}, as its manifest says",
            cure="build the bundle again with `make engine` or `briges build`",
        )


def _failed(what: str, error: Exception) -> BackendError:
    return BackendError(
        subject="backend onnxruntime",
        came=f"{what}: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}",
        expected="the model the manifest describes, and enough memory for it",
        cure="build the bundle again with `make engine`; if memory is short, export a smaller size or preset",
    )
