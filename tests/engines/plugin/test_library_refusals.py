"""What the library says where it cannot run: of the device, the driver and the kernel, each in one line of the log."""

from __future__ import annotations

import pytest

PLAIN = "num_heads=2,head_dim=48"
SHAPES = "1x7x96,1x7x96,1x7x96,1"
LOADING = ("cuModuleLoadData", "cuModuleGetFunction", "cuFuncSetAttribute", "cuModuleUnload")


def named(calls: list[dict], *names: str) -> list[dict]:
    return [call for call in calls if call["call"] in names]


@pytest.mark.parametrize("step", ["configure", "change"])
@pytest.mark.parametrize(
    ("capability", "attributes", "half_type", "came", "served"),
    [
        (70, PLAIN, "fp16", "compute capability 7.0 with head_dim 48, fp16 and no grid", "7.5, 8.0 or later"),
        (75, PLAIN, "bf16", "compute capability 7.5 with head_dim 48, bf16 and no grid", "8.0 or later"),
        (
            75,
            "num_heads=2,head_dim=64,grid_height=1,grid_width=7",
            "fp16",
            "compute capability 7.5 with head_dim 64, fp16 and a grid up to 16",
            "8.0 or later",
        ),
        (80, PLAIN.replace("48", "24"), "bf16", "compute capability 8.0 with head_dim 24, bf16 and no grid", "another"),
    ],
)
def test_a_device_without_a_kernel_is_refused_when_it_is_built_for_and_when_it_runs(
    launch, step, capability, attributes, half_type, came, served
):
    shapes = "1x7x128,1x7x128,1x7x128,1,1x64,13x64" if "grid" in attributes else SHAPES
    calls, logged = launch(f"create {attributes}", f"{step} {shapes} {half_type}", capability=capability)
    assert len(logged) == 1
    assert logged[0].startswith(f"no kernel for {came}; expected {served}")
    assert logged[0].endswith(". Build with --attention native")
    assert named(calls, "configured", "changed")[0]["code"] == 1


def test_building_looks_for_the_kernel_and_loads_nothing(launch):
    calls, logged = launch(f"create {PLAIN}", f"configure {SHAPES} fp16")
    assert logged == []
    assert named(calls, "configured") == [{"call": "configured", "code": 0}]
    assert named(calls, *LOADING) == []


def test_building_where_the_driver_finds_no_device_asks_for_no_kernel(launch):
    calls, logged = launch(f"create {PLAIN}", f"configure {SHAPES} fp16", devices=0, capability=70)
    assert (logged, named(calls, "configured")[0]["code"]) == ([], 0)


def test_running_where_the_driver_finds_no_device_is_refused(launch):
    calls, (message,) = launch(f"create {PLAIN}", f"change {SHAPES} fp16", devices=0)
    assert message.startswith("the CUDA driver does not start: CUDA_ERROR_NO_DEVICE (100)")
    assert named(calls, "changed")[0]["code"] == 1


def test_a_driver_that_lacks_a_function_is_too_old_to_run_but_not_to_build(launch):
    words = f"{SHAPES} fp16"
    calls, (message,) = launch(f"create {PLAIN}", f"configure {words}", f"change {words}", complete=False)
    assert message.startswith("libcuda.so.1 has no cuFuncSetAttribute; expected a driver of CUDA 12.0 or later")
    assert [call["code"] for call in named(calls, "configured", "changed")] == [0, 1]


def test_a_thread_without_a_context_is_told_so(launch):
    calls, (message,) = launch(f"create {PLAIN}", "context 0", f"change {SHAPES} fp16")
    assert message.startswith("no CUDA context on this thread; expected TensorRT's")
    assert named(calls, "changed")[0]["code"] == 1


def test_a_launch_that_fails_is_an_error_in_one_line(launch):
    words = f"{SHAPES} fp16"
    calls, (message,) = launch(f"create {PLAIN}", f"change {words}", f"run {words}", failure="cuLaunchKernel")
    assert named(calls, "enqueued")[0]["code"] == 1
    assert message.startswith("cuLaunchKernel failed: CUDA_ERROR_OUT_OF_MEMORY (2); expected success")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (
            "cuModuleLoadData",
            "the driver does not load its kernel, PTX 8.0 for head_dim 80: CUDA_ERROR_OUT_OF_MEMORY (2)",
        ),
        ("cuModuleGetFunction", "cuModuleGetFunction failed: CUDA_ERROR_OUT_OF_MEMORY (2)"),
        ("cuFuncSetAttribute", "cuFuncSetAttribute failed: CUDA_ERROR_OUT_OF_MEMORY (2)"),
    ],
)
def test_a_kernel_that_cannot_be_loaded_is_an_error_in_one_line_and_leaves_no_module(launch, function, words):
    shapes = "1x7x80,1x7x80,1x7x80,1 fp16"
    calls, (message,) = launch("create num_heads=1,head_dim=80", f"change {shapes}", failure=function)
    assert message.startswith(words)
    assert named(calls, "changed")[0]["code"] == 1
    unloaded = [call["module"] for call in named(calls, "cuModuleUnload")]
    assert unloaded == ([] if function == "cuModuleLoadData" else [1])


def test_running_before_the_shapes_are_known_is_an_error_in_one_line(launch):
    calls, (message,) = launch(f"create {PLAIN}", f"run {SHAPES} fp16")
    assert message.startswith("it was run before its shapes were known")
    assert named(calls, "enqueued")[0]["code"] == 1
    assert named(calls, "cuLaunchKernel") == []
