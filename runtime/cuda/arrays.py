"""Photographs that are on the GPU already, and depth that stays there: other libraries' arrays, without a copy."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

from briges.runtime.errors import ImageError
from briges.runtime.preprocess import check_image_size

_CURE = "give it as contiguous uint8 [height, width, 3] on the GPU of the engine; rows may be pitched"
_DLPACK_CUDA, _DLPACK_CUDA_HOST, _DLPACK_CUDA_MANAGED = 2, 3, 13
_DLPACK_UINT = 1
_DEFAULT_STREAM = 1  # the legacy one, as CUDA numbers it


@dataclass(frozen=True, eq=False)
class DeviceImage:
    """uint8 [height, width, 3] on the GPU; rows begin ``pitch_bytes`` apart.

    ``stream``: the CUDA stream in which it is written, None if it is there already. ``owner``: keeps it alive.
    """

    pointer: int
    height: int
    width: int
    pitch_bytes: int
    stream: int | None
    owner: Any

    @property
    def shape(self) -> tuple[int, int, int]:
        """As of a NumPy array."""
        return (self.height, self.width, 3)


class DeviceArray:
    """Depth on the GPU, for whatever reads ``__cuda_array_interface__``: torch, cupy, numba, pycuda.

    It lies in a buffer of the estimator: valid until its next call, and never after ``close``. ``owner``: the runner
    whose buffer it is, ``call``: which of its calls wrote it.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, pointer: int, shape: tuple[int, ...], stream: int, owner: Any, call: int = 0) -> None:
        self.shape, self.pointer, self.owner, self.call = shape, pointer, owner, call
        self._stream = stream

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "strides": None,
            "version": 3,
            "stream": self._stream,
        }


def image_on_device(value: Any, stream: int, device_index: int = 0) -> DeviceImage | None:
    """``value`` without a copy, if it is an array on a GPU; None if it is anything else.

    Takes what has ``__dlpack__``, and asks it to be ready in ``stream``; or else ``__cuda_array_interface__``, which
    before version 3 does not say in which stream it is written: then the default stream counts. Raises ImageError for
    one of another type or layout, and for a DLPack array on another GPU than ``device_index``; the other interface does
    not say on which GPU it is.
    """
    device = getattr(value, "__dlpack_device__", None)
    kind, index = device() if device is not None else (None, 0)
    if kind not in (_DLPACK_CUDA, _DLPACK_CUDA_HOST, _DLPACK_CUDA_MANAGED):
        interface = getattr(value, "__cuda_array_interface__", None)
        return None if interface is None else _from_interface(interface, value)
    if kind == _DLPACK_CUDA and index != device_index:
        raise _refused(f"an array on GPU number {index}, and the engine is on number {device_index}")
    try:
        # Page-locked host memory is nobody's stream's.
        capsule = value.__dlpack__(stream=None if kind == _DLPACK_CUDA_HOST else stream)
    except Exception as error:  # each library has its own
        raise _refused(f"an array that its library does not give: {error}") from error
    return _from_dlpack(capsule, stream)


def _from_interface(interface: dict[str, Any], owner: Any) -> DeviceImage:
    shape, strides = tuple(interface["shape"]), interface.get("strides")
    # Where the field is there, None means that there is nothing to wait for.
    stream = interface.get("stream", _DEFAULT_STREAM)
    if interface["typestr"] not in ("|u1", "<u1") or len(shape) != 3 or shape[2] != 3:
        raise _refused(f"{interface['typestr']} {list(shape)}")
    # 1 and 2 are the default streams, which CUDA knows by these numbers too.
    return _checked(interface["data"][0], shape, strides, None if not stream else int(stream), owner)


class _Tensor(ctypes.Structure):
    """DLTensor of dlpack.h, as every version has it."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


def _from_dlpack(capsule: Any, stream: int) -> DeviceImage:
    # The capsule is never renamed to "used_dltensor": its own destructor then gives the array back, once, when the
    # last reference to the DeviceImage goes.
    open_capsule = ctypes.pythonapi.PyCapsule_GetPointer
    open_capsule.restype, open_capsule.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    tensor = _Tensor.from_address(open_capsule(capsule, b"dltensor"))
    shape = tuple(tensor.shape[: tensor.ndim])
    strides = tuple(tensor.strides[: tensor.ndim]) if tensor.strides else None
    if (tensor.code, tensor.bits, tensor.lanes) != (_DLPACK_UINT, 8, 1) or len(shape) != 3 or shape[2] != 3:
        raise _refused(f"DLPack type {tensor.code} of {tensor.bits} bits {list(shape)}")
    return _checked((tensor.data or 0) + tensor.byte_offset, shape, strides, stream, capsule)


def _checked(
    pointer: int, shape: tuple[int, ...], strides: tuple[int, ...] | None, stream: int | None, owner: Any
) -> DeviceImage:
    height, width = shape[:2]
    check_image_size(height, width, "image")
    rows, *inner = strides or (width * 3, 3, 1)  # of uint8, so elements are bytes
    # The kernels count bytes from the first one in 32 bits.
    if tuple(inner) != (3, 1) or rows < width * 3 or height * rows >= 1 << 31:
        raise _refused(f"strides {list(strides or ())} of {list(shape)}")
    return DeviceImage(int(pointer), height, width, rows, stream, owner)


def _refused(came: str) -> ImageError:
    return ImageError(subject="image", came=came, expected="uint8 [height, width, 3], dense pixels", cure=_CURE)
