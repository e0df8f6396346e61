from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest
from support.commands import hide_modules, run_python
from support.manifests import ORIN, RTX_4090, machine, manifest, options

from briges.runtime.compatibility import (
    RTX_DEFAULT_COMPUTE_CAPABILITIES,
    reasons_not_runnable,
    require_runnable,
    this_machine,
)
from briges.runtime.errors import BackendError, MissingExtraError
from briges.runtime.flavour import library_version
from briges.runtime.gpu import Device, Driver, read_driver
from briges.runtime.manifest import Flavour

RTX = "1.7.1.116"
TENSORRT = "10.13.3.9"
H200 = Device("NVIDIA H200", "9.0", 141 << 30)
RTX_2080 = Device("NVIDIA GeForce RTX 2080", "7.5", 8 << 30)


def tensorrt(**changes: object) -> dict[str, object]:
    """Build options of an engine for the RTX 4090."""
    return {"options": options(**{"compute_capabilities": ("8.9",), **changes})}


# What runs.


def test_the_machine_that_built_an_engine_runs_it() -> None:
    assert reasons_not_runnable(manifest("tensorrt", TENSORRT, **tensorrt()), machine(TENSORRT, RTX_4090)) == []


def test_an_engine_that_names_no_compute_capability_runs_on_a_gpu_like_its_builder_s() -> None:
    made = manifest("tensorrt", TENSORRT)

    assert reasons_not_runnable(made, machine(TENSORRT, RTX_4090)) == []
    (reason,) = reasons_not_runnable(made, machine(TENSORRT, H200))
    assert reason.expected == "compute capability that of NVIDIA GeForce RTX 4090, on which it was built"


@pytest.mark.parametrize("capability", RTX_DEFAULT_COMPUTE_CAPABILITIES)
def test_a_default_rtx_engine_runs_on_every_gpu_the_builder_targets(capability: str) -> None:
    gpu = Device("GPU", capability, 8 << 30)

    assert reasons_not_runnable(manifest("tensorrt-rtx", RTX), machine(RTX, gpu)) == []


def test_an_onnxruntime_bundle_needs_only_onnxruntime() -> None:
    made = manifest("onnxruntime", "1.20.0")

    assert reasons_not_runnable(made, machine("1.31.1", platform="Linux aarch64")) == []


def test_a_hardware_compatible_engine_runs_on_ampere_and_newer() -> None:
    made = manifest("tensorrt", TENSORRT, **tensorrt(hardware_compatible=True))

    assert reasons_not_runnable(made, machine(TENSORRT, H200)) == []
    (reason,) = reasons_not_runnable(made, machine(TENSORRT, RTX_2080))
    assert reason.expected == "compute capability 8.0 or newer"


@pytest.mark.parametrize("found", ["10.13.3.9", "10.14.1.48", "10.16.1.11", "11.0.0.114", "11.4.1"])
def test_a_version_compatible_engine_runs_on_later_releases(found: str) -> None:
    made = manifest("tensorrt", TENSORRT, **tensorrt(version_compatible=True))

    assert reasons_not_runnable(made, machine(found, RTX_4090)) == []


# What does not.


@pytest.mark.parametrize(
    ("built", "found", "expected"),
    [
        (TENSORRT, "10.3.0", "TensorRT 10.13.3.9, with which it was built, or a later 10.x or 11.x"),
        (TENSORRT, "10.9.0.34", "TensorRT 10.13.3.9, with which it was built, or a later 10.x or 11.x"),
        (TENSORRT, "12.0.0", "TensorRT 10.13.3.9, with which it was built, or a later 10.x or 11.x"),
        ("11.1.0.106", "12.0.0", "TensorRT 11.1.0.106, with which it was built, or a later 11.x"),
        ("11.1.0.106", TENSORRT, "TensorRT 11.1.0.106, with which it was built, or a later 11.x"),
    ],
)
def test_a_version_compatible_engine_runs_on_no_older_release_and_no_further_one(
    built: str, found: str, expected: str
) -> None:
    made = manifest("tensorrt", built, **tensorrt(version_compatible=True))

    (reason,) = reasons_not_runnable(made, machine(found, RTX_4090))

    assert reason.came == f"TensorRT {found} is installed"
    assert reason.expected == expected


def test_a_tensorrt_engine_runs_on_no_other_release() -> None:
    (reason,) = reasons_not_runnable(manifest("tensorrt", TENSORRT, **tensorrt()), machine("10.13.3.10", RTX_4090))

    assert reason.came == "TensorRT 10.13.3.10 is installed"
    assert reason.expected == "TensorRT 10.13.3.9, with which it was built"
    assert "pip install 'tensorrt==10.13.3.9', or build it again" in reason.cure
    assert "`briges build MODEL_DIR --out BUNDLE --flavour tensorrt`" in reason.cure
    assert "`make engine FLAVOUR=tensorrt`" in reason.cure


def test_an_rtx_engine_runs_on_no_other_release_even_if_version_compatible() -> None:
    made = manifest("tensorrt-rtx", RTX, options=options(version_compatible=True))

    (reason,) = reasons_not_runnable(made, machine("1.8.0.1", RTX_4090))

    assert (reason.came, reason.expected) == (
        "TensorRT-RTX 1.8.0.1 is installed",
        "TensorRT-RTX 1.7.1.116, with which it was built",
    )
    assert "tensorrt-rtx-cu13==1.7.1.116" in reason.cure


def test_an_engine_for_other_gpus_names_them_and_ours() -> None:
    made = manifest("tensorrt-rtx", RTX, options=options(compute_capabilities=("8.6", "8.9")))

    (reason,) = reasons_not_runnable(made, machine(RTX, RTX_2080))

    assert reason.came.startswith("the GPU here is NVIDIA GeForce RTX 2080, compute capability 7.5 (Turing")
    assert reason.expected == "compute capability 8.6 or 8.9"
    assert "--flavour tensorrt-rtx --compute-capability 7.5`" in reason.cure


@pytest.mark.parametrize("gpu", [ORIN, H200, Device("NVIDIA Thor", "11.0", 1)])
def test_a_gpu_that_tensorrt_rtx_does_not_serve_is_sent_to_tensorrt(gpu: Device) -> None:
    (reason,) = reasons_not_runnable(manifest("tensorrt-rtx", RTX), machine(RTX, gpu))

    assert reason.expected == "compute capability 8.0 or 8.6 or 8.9 or 12.0 or 12.1"
    assert "--flavour tensorrt`" in reason.cure


def test_a_second_gpu_that_fits_is_pointed_out() -> None:
    made = manifest("tensorrt", TENSORRT, **tensorrt())

    (reason,) = reasons_not_runnable(made, machine(TENSORRT, RTX_2080, RTX_4090))

    assert reason.cure.startswith(
        "use the NVIDIA GeForce RTX 4090 with device=1, or CUDA_VISIBLE_DEVICES=1; or build it again"
    )


def test_an_engine_of_another_processor_is_refused_unless_it_is_of_rtx() -> None:
    elsewhere = machine(TENSORRT, RTX_4090, platform="Linux aarch64")

    (reason,) = reasons_not_runnable(manifest("tensorrt", TENSORRT, **tensorrt()), elsewhere)

    assert (reason.came, reason.expected) == ("this machine is Linux aarch64", "Linux x86_64, where it was built")
    assert reasons_not_runnable(manifest("tensorrt-rtx", TENSORRT), elsewhere) == []


def test_without_a_gpu_the_reason_and_the_way_without_one_are_named() -> None:
    (reason,) = reasons_not_runnable(manifest("tensorrt-rtx", RTX), machine(RTX))

    assert reason.came == "no NVIDIA GPU can be used here (no libcuda.so.1: no NVIDIA driver)"
    assert "--flavour onnxruntime`" in reason.cure


def test_a_driver_older_than_the_library_needs_is_refused() -> None:
    old = machine(RTX, RTX_4090, driver=Driver("12.4", (RTX_4090,), None))

    (reason,) = reasons_not_runnable(manifest("tensorrt-rtx", RTX), old)

    assert reason.came == "the NVIDIA driver supports CUDA up to 12.4"
    assert reason.expected == "CUDA 13, for which the TensorRT-RTX installed here was made"
    assert reason.cure == "update the NVIDIA driver (r580 or newer)"
    # A library of the system does not say what it was made for, and fits its driver.
    assert reasons_not_runnable(manifest("tensorrt-rtx", RTX), dataclasses.replace(old, library_cuda=None)) == []


@pytest.mark.parametrize(
    ("flavour", "module", "cure"),
    [
        ("onnxruntime", "onnxruntime", "pip install 'briges-trt[cpu]'"),
        ("tensorrt", "tensorrt", "pip install 'briges-trt[tensorrt]' 'tensorrt==10.13.3.9'"),
        ("tensorrt-rtx", "tensorrt_rtx", "pip install 'briges-trt[rtx]' 'tensorrt-rtx-cu13==10.13.3.9'"),
    ],
)
def test_a_missing_library_comes_with_the_line_that_installs_it(flavour: Flavour, module: str, cure: str) -> None:
    (reason,) = reasons_not_runnable(manifest(flavour, TENSORRT, **tensorrt()), machine(None, RTX_4090))

    assert reason.not_installed
    assert reason.came.startswith(f"the package {module} is not installed, or cannot be loaded")
    assert reason.cure == cure


def test_an_engine_without_its_weights_is_refused_everywhere() -> None:
    made = manifest("tensorrt-rtx", RTX, options=options(strip_weights=True))

    (reason,) = reasons_not_runnable(made, machine(RTX, RTX_4090))

    assert reason.came == "the engine was built with --strip-weights"
    assert reason.cure.endswith("without --strip-weights")


def test_every_reason_is_found_the_most_decisive_first() -> None:
    made = manifest("tensorrt", TENSORRT, **tensorrt())
    elsewhere = machine("10.3.0", ORIN, platform="Linux aarch64", driver=Driver("12.6", (ORIN,), None))

    came = [reason.came for reason in reasons_not_runnable(made, elsewhere)]

    assert came == [
        "the GPU here is Orin, compute capability 8.7 (Orin)",
        "this machine is Linux aarch64",
        "TensorRT 10.3.0 is installed",
        "the NVIDIA driver supports CUDA up to 12.6",
    ]


# On the machine these tests run on.


def test_this_machine_is_seen_as_it_is() -> None:
    seen = this_machine("onnxruntime")

    assert seen.platform.split()[0] in {"Linux", "Windows", "Darwin"}
    assert seen.library == library_version("onnxruntime")
    assert seen.driver.missing == "not asked"
    assert this_machine("tensorrt-rtx").driver == read_driver()


def test_a_bundle_this_machine_can_run_is_let_through() -> None:
    require_runnable(manifest("onnxruntime", "1.20.0"))


@pytest.mark.skipif(bool(read_driver().devices), reason="there is a GPU here")
def test_an_rtx_bundle_is_refused_where_there_is_no_gpu() -> None:
    with pytest.raises(BackendError, match="no NVIDIA GPU can be used here") as caught:
        require_runnable(manifest("tensorrt-rtx", RTX))

    assert caught.value.subject == "bundle for TensorRT-RTX 1.7.1.116"
    assert "--flavour onnxruntime" in caught.value.cure


def test_a_missing_library_is_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(MissingExtraError, match="the package onnxruntime is not installed"):
        require_runnable(manifest("onnxruntime", "1.20.0"))


def test_a_refusal_loads_no_engine_library_but_the_one_it_asks_for(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom support.manifests import manifest\n"
        "from briges.runtime.compatibility import require_runnable\n"
        "try:\n    require_runnable(manifest('onnxruntime', '1'))\nexcept Exception as error:\n    print(error)\n"
        "print([name for name in ('tensorrt_rtx', 'tensorrt', 'torch') if name in sys.modules])"
    )
    tests = Path(__file__).parent.parent

    done = run_python(code, path=[hide_modules(tmp_path / "hidden", ["onnxruntime"]), tests])

    assert "cure: pip install 'briges-trt[cpu]'" in done.stdout
    assert done.stdout.endswith("[]\n")


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are() -> None:
    there = machine(RTX, RTX_4090)

    (reason,) = reasons_not_runnable(manifest("tensorrt-rtx", RTX), dataclasses.replace(there, device=3))

    assert reason.came == "GPU number 3 was asked for"
    assert reason.expected == "one of 0: NVIDIA GeForce RTX 4090"


def test_the_gpu_that_was_asked_for_is_judged() -> None:
    there = machine(RTX, RTX_2080, RTX_4090)

    assert reasons_not_runnable(manifest("tensorrt-rtx", RTX), dataclasses.replace(there, device=1)) == []
    assert len(reasons_not_runnable(manifest("tensorrt-rtx", RTX), there)) == 1
