from __future__ import annotations

import pytest
from support.manifests import NO_DRIVER

from briges.runtime.compatibility import choose, choose_flavour
from briges.runtime.flavour import library_version
from briges.runtime.gpu import Device, Driver, read_driver
from briges.runtime.manifest import Flavour

RTX = "1.7.1.116"
GPU_DRIVER = Driver("13.0", (Device("NVIDIA H200", "9.0", 141 << 30),), None)


@pytest.mark.parametrize(
    ("driver", "tensorrt_version", "rtx_version", "flavour", "reason"),
    [
        (GPU_DRIVER, "10.16.1.11", RTX, "tensorrt", "TensorRT 10.16.1.11 is installed and has a GPU here, NVIDIA H200"),
        (
            NO_DRIVER,
            "10.16.1.11",
            RTX,
            "tensorrt-rtx",
            "TensorRT-RTX 1.7.1.116 is installed and builds without a GPU; TensorRT 10.16.1.11 builds on a GPU only,"
            " and none can be used here (no libcuda.so.1: no NVIDIA driver)",
        ),
        (
            GPU_DRIVER,
            None,
            RTX,
            "tensorrt-rtx",
            "TensorRT-RTX 1.7.1.116 is installed and builds without a GPU; TensorRT is not installed",
        ),
        (
            GPU_DRIVER,
            "8.6.2",
            None,
            "onnxruntime",
            "ONNX Runtime runs everywhere; TensorRT 8.6.2 is not a release this toolchain is made for, and there is no"
            " TensorRT-RTX 1.x",
        ),
        (
            NO_DRIVER,
            None,
            None,
            "onnxruntime",
            "ONNX Runtime runs everywhere; TensorRT is not installed, and there is no TensorRT-RTX 1.x",
        ),
    ],
)
def test_auto_takes_the_best_flavour_that_can_be_built(
    driver: Driver, tensorrt_version: str | None, rtx_version: str | None, flavour: Flavour, reason: str
) -> None:
    assert choose(driver, {"tensorrt": tensorrt_version, "tensorrt-rtx": rtx_version}) == (flavour, reason)


def test_auto_looks_at_this_machine() -> None:
    libraries: dict[Flavour, str | None] = {name: library_version(name) for name in ("tensorrt", "tensorrt-rtx")}

    assert choose_flavour() == choose(read_driver(), libraries)
