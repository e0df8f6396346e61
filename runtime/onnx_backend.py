"""Runs a bundle's model on ONNX Runtime: on the CPU, or on CUDA where onnxruntime-gpu is installed and works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from briges.runtime import contracts
from briges.runtime.backend import Provider
from briges.runtime.errors import BackendError, MissingExtraError
from briges.runtime.manifest import ModelSpec

_ERRORS_ONLY = 3


class OnnxBackend:
    """An ONNX Runtime session bound to fixed host arrays."""

    def __init__(self, path: Path, model: ModelSpec, provider: Provider, threads: int | None) -> None:
        """Load ``path``. threads: CPU threads of one inference, None for one per core. Raises BackendError."""
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError(
                subject="backend onnxruntime",
                came="the package onnxruntime is not installed",
                expected="ONNX Runtime, which runs this bundle",
                cure="pip install 'briges-trt[cpu]', or 'briges-trt[gpu]' for CUDA",
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        # The planned pattern is allocated beside the arena of the first run: on briges-v2-b at 518x518 it doubled the
        # activations from 3.1 to 6.2 GB and was no faster (ONNX Runtime 1.31.1, two CPU cores).
        options.enable_mem_pattern = False
        if threads is not None:
            options.intra_op_num_threads = threads
        providers = _providers(onnxruntime, provider)
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime has no common base class for its errors
            raise _failed(f"cannot load {path.name}", error) from error
        used = self._session.get_providers()[0]
        if provider == "cuda" and used != "CUDAExecutionProvider":
            raise BackendError(
                subject="backend onnxruntime",
                came=f"CUDA was asked for, ONNX Runtime fell back to {used}",
                expected="a CUDA device, its driver and the CUDA and cuDNN libraries of this onnxruntime-gpu",
                cure="install those, or use --provider cpu",
            )
        self.name = f"onnxruntime {onnxruntime.__version__} {used.removesuffix('ExecutionProvider')}"
        inputs: dict[str, tuple[str, tuple[int, ...]]] = {
            spec.name: (spec.dtype, spec.shape(model.batch)) for spec in model.inputs
        }
        if model.temperature.mode == "dynamic":
            inputs[contracts.TEMPERATURE] = ("float32", (1,))
        output = (model.batch, 1, model.image.height_px, model.image.width_px)
        # Before anything is allocated: the sizes of a wrong manifest may not even fit into memory.
        _require_tensors("inputs", self._session.get_inputs(), inputs)
        _require_tensors("outputs", self._session.get_outputs(), {contracts.DEPTH: ("float32", output)})
        self.inputs = {name: np.zeros(shape, dtype) for name, (dtype, shape) in inputs.items()}
        if contracts.TEMPERATURE in inputs:
            self.inputs[contracts.TEMPERATURE][:] = 1.0
        self.output = np.empty(output, np.float32)
        self._binding = self._session.io_binding()
        out = self.output
        self._binding.bind_output(contracts.DEPTH, "cpu", 0, out.dtype.type, out.shape, out.ctypes.data)

    def run(self) -> None:
        """Fill ``output`` from ``inputs``. Raises BackendError."""
        try:
            # Bound anew each time: on CUDA it is the binding, not the run, that copies the input to the device.
            for name, array in self.inputs.items():
                self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
            self.output.fill(np.nan)  # so that an output the engine did not write can never pass for depth
            self._session.run_with_iobinding(self._binding)
            self._binding.synchronize_outputs()
        except Exception as error:
            raise _failed("inference failed", error) from error

    def close(self) -> None:
        """Release the session and its weights."""
        del self._binding, self._session


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


def _require_tensors(what: str, nodes: Sequence[Any], tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
    found = {node.name: f"{node.type} {list(node.shape)}" for node in nodes}
    types = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}
    expected = {name: f"{types[dtype]} {list(shape)}" for name, (dtype, shape) in tensors.items()}
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
