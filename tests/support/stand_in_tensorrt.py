"""A stand-in for the module ``tensorrt``: no TensorRT without a GPU, so its engines here are ONNX files.

It has the part of the interface that the runtime uses, answers None and False where TensorRT does, and computes with
ONNX Runtime when the simulated driver gets to the work: queued on the stream it was given, recorded in graphs.
"""

from __future__ import annotations

import enum
import sys
import types
from typing import Any

import numpy as np
import onnxruntime
from cuda.bindings import driver
from support.simulated_gpu import SimulatedGpu
from support.stand_in_version import VERSION

_TYPES = {"tensor(uint8)": "UINT8", "tensor(float)": "FLOAT", "tensor(float16)": "HALF"}
_DTYPES = {"UINT8": np.uint8, "FLOAT": np.float32, "HALF": np.float16}
_ACTIVATION_BYTES = 4096


class Severity(enum.Enum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


DataType = enum.Enum("DataType", "FLOAT HALF UINT8 BF16")
TensorIOMode = enum.Enum("TensorIOMode", "NONE INPUT OUTPUT")
ExecutionContextAllocationStrategy = enum.Enum("ExecutionContextAllocationStrategy", "STATIC USER_MANAGED")


class ILogger:
    """As TensorRT's."""

    Severity = Severity


def install(gpu: SimulatedGpu) -> types.ModuleType:
    """Make ``import tensorrt`` give the stand-in; ``faults`` of the module it returns makes its calls fail."""
    module: Any = types.ModuleType("tensorrt")
    module.__version__ = VERSION
    module.ILogger, module.DataType, module.TensorIOMode = ILogger, DataType, TensorIOMode
    module.ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy
    module.faults = set()
    module.contexts = []
    module.Runtime = lambda log: None if "runtime" in module.faults else Runtime(module, gpu, log)
    sys.modules["tensorrt"] = module
    return module


class Runtime:
    """Deserialises."""

    engine_host_code_allowed = False

    def __init__(self, module: Any, gpu: SimulatedGpu, log: Any) -> None:
        self._module, self._gpu, self._log = module, gpu, log

    def deserialize_cuda_engine(self, data: Any) -> Any:
        """None for what is no engine, and an error in the log."""
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            session = onnxruntime.InferenceSession(bytes(data), options)
        except Exception:
            self._log.log(Severity.ERROR, "Serialization assertion magicTagRead == kMAGIC_TAG failed.")
            return None
        self._log.log(Severity.INFO, "Loaded engine size: 1 MiB")
        return Engine(self._module, self._gpu, session)


class Engine:
    """An ONNX Runtime session with TensorRT's names for what it has."""

    device_memory_size_v2 = _ACTIVATION_BYTES

    def __init__(self, module: Any, gpu: SimulatedGpu, session: Any) -> None:
        self.module, self.gpu, self.session = module, gpu, session
        self.inputs = {item.name: item for item in session.get_inputs()}
        self.tensors = {**self.inputs, **{item.name: item for item in session.get_outputs()}}
        self.num_io_tensors = len(self.tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[_TYPES[self.tensors[name].type]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.tensors[name].shape)

    def create_execution_context(self, strategy: ExecutionContextAllocationStrategy) -> Any:
        assert strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        if "context" in self.module.faults:
            return None
        self.module.contexts.append(context := Context(self))
        return context


class Context:
    """Queues a kernel of the simulated driver that runs the session on the bound addresses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self.memory = (0, 0)
        self.runs = 0
        entry = f"engine_{id(self)}"
        text = f".version 8.0\n.target sm_75\n.visible .entry {entry}(\n.param .u64 {entry}_param_0\n)\n{{}}\n\0"
        _, module = driver.cuModuleLoadDataEx(text.encode(), 0, [], [])
        _, self._function = driver.cuModuleGetFunction(module, entry.encode())
        engine.gpu.kernels[entry] = lambda grid, values: self._compute()

    def set_device_memory(self, address: int, size_bytes: int) -> None:
        assert size_bytes >= self._engine.device_memory_size_v2
        assert address % 256 == 0
        self.memory = (address, size_bytes)

    def set_tensor_address(self, name: str, address: int) -> bool:
        if name not in self._engine.tensors or "address" in self._engine.module.faults:
            return False
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        if "enqueue" in self._engine.module.faults or self._addresses.keys() != self._engine.tensors.keys():
            return False
        argument = np.array([0], np.uint64)
        pointers = np.array([argument.ctypes.data], np.uint64)
        code = driver.cuLaunchKernel(self._function, 1, 1, 1, 1, 1, 1, 0, stream, pointers.ctypes.data, 0)[0]
        return not int(code)

    def _compute(self) -> None:
        engine = self._engine
        self.runs += 1
        views = {}
        for name, item in engine.tensors.items():
            dtype = _DTYPES[_TYPES[item.type]]
            views[name] = engine.gpu.memory(self._addresses[name], dtype, int(np.prod(item.shape))).reshape(item.shape)
        # What the last inference left behind is gone: nothing may rely on it.
        engine.gpu.memory(self.memory[0], np.uint8, self.memory[1])[...] = 0xEE
        names = [name for name in engine.tensors if name not in engine.inputs]
        found = engine.session.run(names, {name: views[name].copy() for name in engine.inputs})
        for name, value in zip(names, found, strict=True):
            views[name][...] = value
