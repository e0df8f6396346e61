"""What can be asked of a build, and what cannot."""

from __future__ import annotations

import pytest

from briges.engines.spec import EngineSpec
from briges.runtime.compatibility import RTX_COMPUTE_CAPABILITIES
from briges.runtime.errors import UnknownNameError, UsageError
from briges.runtime.records import from_object, parse_json, to_json


def refused(**options: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        EngineSpec(**options)
    return caught.value


def test_a_spec_survives_its_way_through_json():
    spec = EngineSpec("tensorrt", 1 << 30, 5, "cache.bin", (), True, True, True)
    assert from_object(EngineSpec, parse_json(to_json(spec))) == spec
    spec = EngineSpec("tensorrt-rtx", compute_capabilities=("8.6", "12.0"), strip_weights=True)
    assert from_object(EngineSpec, parse_json(to_json(spec))) == spec


def test_an_unknown_flavour_is_answered_with_the_nearest_one():
    error = refused(flavour="tensorrt_rtx")
    assert isinstance(error, UnknownNameError)
    assert str(error) == (
        "flavour: 'tensorrt_rtx'\n  expected: one of onnxruntime, tensorrt, tensorrt-rtx\n"
        "  cure: did you mean 'tensorrt-rtx'?"
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("workspace_bytes", 1 << 30),
        ("optimization_level", 0),
        ("timing_cache", "cache.bin"),
        ("compute_capabilities", ("8.6",)),
        ("hardware_compatible", True),
        ("version_compatible", True),
        ("strip_weights", True),
    ],
)
def test_onnx_runtime_takes_no_option_of_tensorrt(option, value):
    error = refused(flavour="onnxruntime", **{option: value})
    assert error.subject == "--" + option.replace("ies", "y").replace("_", "-")
    assert error.came == "ONNX Runtime takes the graph as it is: only TensorRT has this option"
    assert error.cure == "leave it out, or use --flavour tensorrt or tensorrt-rtx"


@pytest.mark.parametrize("workspace_bytes", [-1, 0, 1024, (1 << 20) - 1])
@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt-rtx"])
def test_less_than_a_mebibyte_of_workspace_is_refused(flavour, workspace_bytes):
    error = refused(flavour=flavour, workspace_bytes=workspace_bytes)
    assert error.came == f"{workspace_bytes} bytes"
    assert "the number is in bytes" in error.expected
    assert EngineSpec(flavour, workspace_bytes=1 << 20).workspace_bytes == 1 << 20


@pytest.mark.parametrize("level", [-1, 6, 100])
def test_an_optimization_level_beyond_those_there_are_is_refused(level):
    error = refused(flavour="tensorrt-rtx", optimization_level=level)
    assert str(error).startswith(f"--optimization-level: {level}\n  expected: 0 (quick build) to 5 (fast engine)")
    assert [EngineSpec("tensorrt", optimization_level=fine).optimization_level for fine in range(6)] == [*range(6)]


@pytest.mark.parametrize(
    ("capability", "device"),
    [("8.7", "Jetson Orin"), ("9.0", "Hopper"), ("11.0", "Jetson Thor"), ("10.0", "data-centre Blackwell")],
)
def test_gpus_tensorrt_rtx_has_no_kernels_for_are_sent_to_tensorrt(capability, device):
    error = refused(flavour="tensorrt-rtx", compute_capabilities=("8.6", capability))
    assert error.subject == f"--compute-capability {capability}"
    assert error.came == f"{device}, which TensorRT-RTX cannot build for"
    assert error.cure == "build with `--flavour tensorrt` on that device"


@pytest.mark.parametrize(("capability", "near"), [("86", "8.6"), ("sm_89", "8.9"), ("120", "12.0")])
def test_a_compute_capability_that_does_not_exist_is_answered_with_the_nearest_one(capability, near):
    error = refused(flavour="tensorrt-rtx", compute_capabilities=(capability,))
    assert error.cure == f"did you mean {near!r}?"


def test_a_compute_capability_asked_for_twice_is_refused():
    error = refused(flavour="tensorrt-rtx", compute_capabilities=("8.6", "8.9", "8.6"))
    assert str(error).startswith("--compute-capability 8.6: asked for twice")
    assert EngineSpec("tensorrt-rtx", compute_capabilities=RTX_COMPUTE_CAPABILITIES)


def test_tensorrt_builds_for_no_other_gpu_than_the_one_at_hand():
    error = refused(flavour="tensorrt", compute_capabilities=("8.6",))
    assert error.came == "TensorRT builds for the GPU of the machine that builds"
    assert error.cure == "build on the device itself, or use --flavour tensorrt-rtx"


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("timing_cache", "cache.bin", "TensorRT-RTX times nothing while it builds"),
        ("hardware_compatible", True, "its engines run on every GPU they were compiled for"),
        ("version_compatible", True, "without the lean runtime"),
    ],
)
def test_what_only_tensorrt_can_do_is_refused_for_tensorrt_rtx(option, value, why):
    error = refused(flavour="tensorrt-rtx", **{option: value})
    assert error.subject == "--" + option.replace("_", "-")
    assert why in error.came
    assert error.cure.startswith("leave it out")
    assert getattr(EngineSpec("tensorrt", **{option: value}), option) == value
