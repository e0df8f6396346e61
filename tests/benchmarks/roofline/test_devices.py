"""The table of device limits against what NVIDIA states of the same devices in other units."""

from __future__ import annotations

import pytest

from briges.benchmarks.roofline.devices import DEVICES, find_device
from briges.runtime.errors import UnknownNameError, UsageError


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_says_where_its_figures_are_from(name: str) -> None:
    device = DEVICES[name]
    assert device.name == name
    assert device.source.startswith("NVIDIA")
    assert any(kind in device.source for kind in ("data sheet", "whitepaper", "specifications"))
    assert device.basis in ("published", "derived")


@pytest.mark.parametrize("name", DEVICES)
def test_tensor_cores_are_faster_than_cuda_cores(name: str) -> None:
    device = DEVICES[name]
    assert 0 < device.peak_tflops("fp32") < device.peak_tflops("fp16")
    if device.bf16_tflops is not None:
        assert device.peak_tflops("fp32") < device.peak_tflops("bf16") <= device.peak_tflops("fp16")


@pytest.mark.parametrize(
    ("name", "sparse_int8_tops"), [("orin-agx-64", 170), ("orin-nano", 67), ("orin-nano-4", 33.4), ("orin-nx-16", 77)]
)
def test_derived_peaks_of_orin_are_a_quarter_of_the_stated_sparse_int8_rate(name: str, sparse_int8_tops: float) -> None:
    assert DEVICES[name].fp16_tflops == pytest.approx(sparse_int8_tops / 4, rel=0.01)


def test_orins_known_fp32_figure_is_not_taken_for_its_tensor_cores() -> None:
    orin = DEVICES["orin-agx-64"]
    assert orin.peak_tflops("fp32") == pytest.approx(5.3, abs=0.05)
    assert orin.peak_tflops("fp16") == pytest.approx(42.6, abs=0.05)


def test_the_memory_of_a_jetson_is_shared_and_that_of_a_card_is_not() -> None:
    assert {name for name, device in DEVICES.items() if device.shared} == {
        name for name in DEVICES if name.startswith(("orin", "thor"))
    }


def test_an_unknown_device_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"device: 'orin-nanoo'(.|\n)*did you mean 'orin-nano'"):
        find_device("orin-nanoo")


def test_a_precision_that_a_device_has_not_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--precision bf16: asked for t4(.|\n)*use --precision fp16"):
        DEVICES["t4"].peak_tflops("bf16")
