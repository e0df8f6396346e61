"""Arrays that are on the GPU already. Only who says where an array lies is ours: memory and DLPack are NumPy's."""

from __future__ import annotations

import ctypes
import gc
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from briges.runtime.cuda.arrays import DeviceArray, image_on_device
from briges.runtime.errors import ImageError

HEIGHT, WIDTH = 48, 64
STREAM = 0x5EA
CUDA, CUDA_HOST, CUDA_MANAGED, OPENCL = 2, 3, 13, 4


class Tensor(ctypes.Structure):
    """DLTensor of DLPack's specification."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    )


class OnGpu:
    """NumPy's DLPack of ``array``, which says that it is on a GPU; ``changes``: other fields of the tensor."""

    def __init__(self, array: NDArray[Any], device_type: int = CUDA, **changes: Any) -> None:
        self.array, self._changes, self.streams = array, {"device_type": device_type, **changes}, list[int | None]()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._changes["device_type"], 0

    def __dlpack__(self, *, stream: int | None) -> Any:
        self.streams.append(stream)
        capsule = self.array.__dlpack__()
        find = ctypes.pythonapi.PyCapsule_GetPointer
        find.restype, find.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
        tensor = Tensor.from_address(find(capsule, b"dltensor"))
        for name, value in self._changes.items():
            setattr(tensor, name, value)
        return capsule


def picture(*shape: int, dtype: Any = np.uint8) -> NDArray[Any]:
    return np.zeros(shape or (HEIGHT, WIDTH, 3), dtype)


def with_interface(array: NDArray[Any], **changes: Any) -> SimpleNamespace:
    """What has version 2 of the interface, which differs from NumPy's own in its name."""
    host = array.__array_interface__
    interface = {name: host[name] for name in ("shape", "typestr", "data", "strides")}
    return SimpleNamespace(__cuda_array_interface__={**interface, "version": 2, **changes}, array=array)


@pytest.mark.parametrize("value", [picture(), [[[0, 0, 0]]], "photograph.jpg", None])
def test_what_is_not_on_a_gpu_is_nothing_of_ours(value: Any) -> None:
    assert image_on_device(value, STREAM) is None


def test_a_tensor_of_the_cpu_and_one_of_another_maker_s_gpu_are_nothing_of_ours() -> None:
    torch = pytest.importorskip("torch")
    assert image_on_device(torch.zeros(HEIGHT, WIDTH, 3, dtype=torch.uint8), STREAM) is None
    assert image_on_device(OnGpu(picture(), OPENCL), STREAM) is None


def test_the_interface_gives_pointer_size_and_pitch() -> None:
    array = picture()
    image = image_on_device(with_interface(array), STREAM)
    assert image is not None
    assert (image.pointer, image.shape, image.pitch_bytes) == (array.ctypes.data, (HEIGHT, WIDTH, 3), WIDTH * 3)
    assert (image.height, image.width, image.stream) == (HEIGHT, WIDTH, 1)


def test_rows_may_be_pitched_and_the_memory_read_only() -> None:
    array = picture(HEIGHT, 80, 3)[:, :WIDTH]
    array.flags.writeable = False
    for value in (with_interface(array), OnGpu(picture(HEIGHT, 80, 3)[:, :WIDTH])):
        image = image_on_device(value, STREAM)
        assert image is not None
        assert (image.width, image.pitch_bytes) == (WIDTH, 240)


@pytest.mark.parametrize(("given", "stream"), [(None, None), (1, 1), (2, 2), (0xBEEF, 0xBEEF)])
def test_the_stream_of_version_3_is_kept_to_be_waited_for(given: int | None, stream: int | None) -> None:
    image = image_on_device(with_interface(picture(), version=3, stream=given), STREAM)
    assert image is not None
    assert image.stream == stream


def test_an_interface_that_names_no_stream_is_written_in_the_default_one() -> None:
    image = image_on_device(with_interface(picture()), STREAM)
    assert image is not None
    assert image.stream == 1


def test_dlpack_is_preferred_since_it_is_ready_in_our_stream() -> None:
    value = OnGpu(picture())
    value.__cuda_array_interface__ = {}  # type: ignore[attr-defined]  # as torch has both
    image = image_on_device(value, STREAM)
    assert image is not None
    assert value.streams == [STREAM]


def test_the_owner_of_an_interface_lives_as_long_as_the_image() -> None:
    array = picture()
    before = sys.getrefcount(array)
    value = with_interface(array)
    image = image_on_device(value, STREAM)
    del value
    gc.collect()
    assert sys.getrefcount(array) > before
    del image
    gc.collect()
    assert sys.getrefcount(array) == before


def test_dlpack_on_another_gpu_than_the_engine_is_refused() -> None:
    with pytest.raises(ImageError, match="an array on GPU number 0, and the engine is on number 1"):
        image_on_device(OnGpu(picture()), STREAM, 1)


@pytest.mark.parametrize("device_type", [CUDA, CUDA_HOST, CUDA_MANAGED])
def test_dlpack_is_asked_to_be_ready_in_our_stream(device_type: int) -> None:
    value = OnGpu(picture(), device_type)
    image = image_on_device(value, STREAM)
    assert image is not None
    # Page-locked host memory is written in no stream of the GPU's.
    assert value.streams == [None if device_type == CUDA_HOST else STREAM]
    assert (image.pointer, image.shape, image.pitch_bytes) == (value.array.ctypes.data, (HEIGHT, WIDTH, 3), WIDTH * 3)


def test_dlpack_counts_its_offset_and_may_leave_strides_out() -> None:
    value = OnGpu(picture(), byte_offset=96, strides=None)
    image = image_on_device(value, STREAM)
    assert image is not None
    assert (image.pointer, image.pitch_bytes) == (value.array.ctypes.data + 96, WIDTH * 3)


def test_the_array_of_dlpack_is_held_until_the_image_goes_and_given_back_once() -> None:
    array = picture()
    value = OnGpu(array)
    before = sys.getrefcount(array)  # of a name of ours: pytest keeps what an assertion looks up
    for _ in range(3):
        image = image_on_device(value, STREAM)
        assert sys.getrefcount(array) == before + 1
        del image
        gc.collect()
        assert sys.getrefcount(array) == before


@pytest.mark.parametrize(
    ("array", "came"),
    [
        (picture(dtype=np.float32), "[48, 64, 3]"),
        (picture(dtype=np.int8), "[48, 64, 3]"),
        (picture(HEIGHT, WIDTH), "[48, 64]"),
        (picture(HEIGHT, WIDTH, 4), "[48, 64, 4]"),
        (picture(1, HEIGHT, WIDTH, 3), "[1, 48, 64, 3]"),
        (picture(3, HEIGHT, WIDTH).transpose(1, 2, 0), "strides [64, 1, 3072] of [48, 64, 3]"),
        (picture(HEIGHT, WIDTH, 6)[:, :, ::2], "strides [384, 6, 2] of [48, 64, 3]"),
        (picture()[::-1], "strides [-192, 3, 1] of [48, 64, 3]"),
        (np.broadcast_to(picture(1, WIDTH, 3), (HEIGHT, WIDTH, 3)), "strides [0, 3, 1] of [48, 64, 3]"),
    ],
)
def test_another_type_or_layout_is_refused_by_either_way_and_given_back(array: NDArray[Any], came: str) -> None:
    before = sys.getrefcount(array)
    given = [with_interface(array)]
    if array.flags.writeable:  # NumPy gives no DLPack of other arrays
        given.append(OnGpu(array))
    while given:
        with pytest.raises(ImageError) as caught:
            image_on_device(given.pop(), STREAM)
        assert came in caught.value.came
        assert caught.value.expected == "uint8 [height, width, 3], dense pixels"
        assert "uint8 [height, width, 3] on the GPU of the engine" in caught.value.cure
        del caught
    gc.collect()
    assert sys.getrefcount(array) == before


def test_a_size_that_no_photograph_has_is_refused() -> None:
    with pytest.raises(ImageError, match="3000x2 pixels"):
        image_on_device(with_interface(picture(2, 3000, 3)), STREAM)


def test_depth_on_the_device_is_read_by_what_knows_the_interface() -> None:
    memory = np.arange(12, dtype=np.float32).reshape(3, 4)
    depth = DeviceArray(memory.ctypes.data, (3, 4), STREAM, memory)
    interface = depth.__cuda_array_interface__
    read = np.asarray(SimpleNamespace(__array_interface__=interface))  # the host's interface has the same fields
    assert np.shares_memory(read, memory)
    assert read.dtype == depth.dtype == np.float32
    assert read.tolist() == memory.tolist()
    assert (depth.shape, interface["version"], interface["stream"]) == ((3, 4), 3, STREAM)


def test_rows_so_far_apart_that_the_kernels_cannot_count_are_refused() -> None:
    array = with_interface(picture(8000, 8000, 3), strides=(300_000, 3, 1))
    with pytest.raises(ImageError, match="strides"):
        image_on_device(array, STREAM)


def test_what_the_other_library_says_becomes_one_error() -> None:
    value = OnGpu(picture())
    value.__dlpack__ = lambda **_: (_ for _ in ()).throw(BufferError("not on my device"))  # type: ignore[method-assign]
    with pytest.raises(ImageError, match="an array that its library does not give: not on my device"):
        image_on_device(value, STREAM)
