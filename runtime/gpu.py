"""What the NVIDIA driver says of itself and its GPUs, asked of libcuda directly: no package, no CUDA context."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass

DRIVER_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

# https://developer.nvidia.com/cuda-gpus; Thor was 10.1 before CUDA 13.
ARCHITECTURES = {
    "7.2": "Xavier",
    "7.5": "Turing: T4, RTX 20",
    "8.0": "Ampere: A100",
    "8.6": "Ampere: RTX 30, A10",
    "8.7": "Orin",
    "8.9": "Ada: RTX 40, L4",
    "9.0": "Hopper: H100, H200",
    "10.0": "Blackwell: B200",
    "10.1": "Thor",
    "10.3": "Blackwell: B300",
    "11.0": "Thor",
    "12.0": "Blackwell: RTX 50",
    "12.1": "Blackwell: GB10",
}

_COMPUTE_CAPABILITY_MAJOR = 75  # CUdevice_attribute
_COMPUTE_CAPABILITY_MINOR = 76
_NAME_BYTES = 256


@dataclass(frozen=True)
class Device:
    """A GPU, in the driver's order, which CUDA_VISIBLE_DEVICES changes. ``compute_capability``: such as "8.7"."""

    name: str
    compute_capability: str
    memory_bytes: int

    def __str__(self) -> str:
        family = ARCHITECTURES.get(self.compute_capability, "an architecture this release does not know")
        return f"{self.name}, compute capability {self.compute_capability} ({family})"


@dataclass(frozen=True)
class Driver:
    """``cuda``: the newest CUDA release it supports, such as "12.6", None without a driver. ``missing``: why there are
    no devices, None if there are.
    """

    cuda: str | None
    devices: tuple[Device, ...]
    missing: str | None


class _DriverError(Exception):
    """A call that the driver answered with an error."""


def read_driver(library: str = DRIVER_LIBRARY) -> Driver:
    """Ask the driver. Never raises: what is not there is said in the answer.

    A process that forks afterwards cannot use CUDA in the child, as after every first call of CUDA.
    """
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return Driver(None, (), f"no {library}: no NVIDIA driver")
    version = None
    try:
        version = _read_version(cuda)
        _check(cuda, "cuInit", ctypes.c_uint(0))
        devices = tuple(_read_devices(cuda))
    except _DriverError as error:
        return Driver(version, (), f"no device: {error}")
    except AttributeError as error:  # ctypes, where a library lacks a function
        return Driver(version, (), f"{library} is no CUDA driver: {error}")
    return Driver(version, devices, None if devices else "no device: the driver lists none")


def _read_version(cuda: ctypes.CDLL) -> str | None:
    number = ctypes.c_int()
    _check(cuda, "cuDriverGetVersion", ctypes.byref(number))
    return f"{number.value // 1000}.{number.value % 1000 // 10}" if number.value else None


def _read_devices(cuda: ctypes.CDLL) -> Iterator[Device]:
    count = ctypes.c_int()
    _check(cuda, "cuDeviceGetCount", ctypes.byref(count))
    for index in range(count.value):
        device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_size_t()
        _check(cuda, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(index))
        _check(cuda, "cuDeviceGetName", name, ctypes.c_int(_NAME_BYTES), device)
        _check(cuda, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
        major = _read_attribute(cuda, _COMPUTE_CAPABILITY_MAJOR, device)
        minor = _read_attribute(cuda, _COMPUTE_CAPABILITY_MINOR, device)
        yield Device(name.value.decode(errors="replace"), f"{major}.{minor}", memory.value)


def _read_attribute(cuda: ctypes.CDLL, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _check(cuda, "cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), device)
    return value.value


def _check(cuda: ctypes.CDLL, function: str, *arguments: object) -> None:
    code = getattr(cuda, function)(*arguments)
    if code:
        raise _DriverError(f"{function} error {code}{_explain(cuda, code)}")


def _explain(cuda: ctypes.CDLL, code: int) -> str:
    text = ctypes.c_char_p()
    known = cuda.cuGetErrorString(ctypes.c_int(code), ctypes.byref(text)) == 0
    return f", {text.value.decode(errors='replace')}" if known and text.value else ""
