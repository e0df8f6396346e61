from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from support.fake_driver import compile_driver

from briges.runtime.gpu import Device, Driver, read_driver


def test_a_library_that_is_not_there_is_no_driver() -> None:
    driver = read_driver("libcuda-of-nobody.so.1")

    assert driver == Driver(None, (), "no libcuda-of-nobody.so.1: no NVIDIA driver")


def test_this_machine_gives_a_driver_or_the_reason_why_not() -> None:
    driver = read_driver()

    assert (driver.missing is None) == bool(driver.devices)
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        assert driver == Driver(None, (), "no libcuda.so.1: no NVIDIA driver")


def test_version_and_devices_come_from_the_driver(tmp_path: Path) -> None:
    driver = read_driver(compile_driver(tmp_path, version=12060, count=2))

    expected = (Device("GPU number 0", "8.7", 12 << 30), Device("GPU number 1", "12.0", 24 << 30))
    assert driver == Driver("12.6", expected, None)


def test_a_device_names_its_architecture() -> None:
    assert str(Device("Orin", "8.7", 1)) == "Orin, compute capability 8.7 (Orin)"
    assert str(Device("NVIDIA Thor", "11.0", 1)) == "NVIDIA Thor, compute capability 11.0 (Thor)"
    assert "does not know" in str(Device("X", "99.0", 1))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (100, "no device: cuInit error 100, no CUDA-capable device is detected"),
        (999, "no device: cuInit error 999"),  # the driver has no text for it
    ],
)
def test_a_driver_that_cannot_start_keeps_its_version_and_says_why(tmp_path: Path, code: int, reason: str) -> None:
    driver = read_driver(compile_driver(tmp_path, version=13000, count=1, init=code))

    assert driver == Driver("13.0", (), reason)


def test_a_driver_without_devices_says_so(tmp_path: Path) -> None:
    driver = read_driver(compile_driver(tmp_path, version=13000, count=0))

    assert driver == Driver("13.0", (), "no device: the driver lists none")


def test_a_library_that_lacks_a_function_is_no_driver(tmp_path: Path) -> None:
    driver = read_driver(compile_driver(tmp_path, version=13000, count=1, incomplete=True))

    assert driver.devices == ()
    assert driver.missing is not None
    assert "is no CUDA driver" in driver.missing
    assert "cuDeviceTotalMem_v2" in driver.missing
