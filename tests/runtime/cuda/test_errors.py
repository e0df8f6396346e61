"""What the driver's codes become: the numbers are those of NVIDIA's own enumeration."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from briges.runtime.cuda.errors import cuda_error, memory_error, no_driver, no_such_device
from briges.runtime.errors import BackendError

driver: Any = pytest.importorskip("cuda.bindings.driver")


def error_of(name: str) -> BackendError:
    code = getattr(driver.CUresult, f"CUDA_ERROR_{name}")
    return cuda_error(int(code), code.name, "doing something")


@pytest.mark.parametrize(
    ("name", "came", "cure"),
    [
        ("NOT_INITIALIZED", "not initialised in this process", "make the estimator after the fork"),
        ("DEINITIALIZED", "shutting down", "close the estimator before the program ends"),
        ("STUB_LIBRARY", "for linking only", "out of LD_LIBRARY_PATH"),
        ("DEVICE_UNAVAILABLE", "has the GPU to itself", "compute mode to Default"),
        ("JIT_COMPILER_NOT_FOUND", "libnvidia-ptxjitcompiler, is not there", "NVIDIA_DRIVER_CAPABILITIES"),
        ("CALL_REQUIRES_NEWER_DRIVER", "driver is older than the CUDA package", "update the NVIDIA driver"),
        ("NO_DEVICE", "the driver finds no GPU", "--gpus all"),
        ("INVALID_CONTEXT", "no CUDA context is current in this thread", "a bug of ours"),
        ("NO_BINARY_FOR_GPU", "no kernel for this GPU", "--flavour onnxruntime"),
        ("INVALID_PTX", "cannot compile the kernels", "install briges-trt again"),
        ("UNSUPPORTED_PTX_VERSION", "too old for the kernels' PTX", "flash a newer JetPack"),
        ("LAUNCH_TIMEOUT", "a kernel ran too long", "restart the process"),
        ("LAUNCH_FAILED", "a kernel failed", "restart the process"),
        ("SYSTEM_DRIVER_MISMATCH", "do not fit together", "update the NVIDIA driver"),
    ],
)
def test_a_code_says_what_it_means_and_what_helps(name: str, came: str, cure: str) -> None:
    error, code = error_of(name), int(getattr(driver.CUresult, f"CUDA_ERROR_{name}"))

    assert error.subject == "CUDA, doing something"
    assert came in error.came
    assert f"CUDA_ERROR_{name}, error {code}" in error.came
    assert cure in error.cure


@pytest.mark.parametrize(
    "name",
    [
        "ILLEGAL_ADDRESS",
        "LAUNCH_TIMEOUT",
        "ASSERT",
        "HARDWARE_STACK_ERROR",
        "ILLEGAL_INSTRUCTION",
        "MISALIGNED_ADDRESS",
        "INVALID_ADDRESS_SPACE",
        "INVALID_PC",
        "LAUNCH_FAILED",
        "UNKNOWN",
    ],
)
def test_after_what_cuda_does_not_recover_from_the_process_must_restart(name: str) -> None:
    assert error_of(name).cure.startswith("restart the process")


@pytest.mark.parametrize("name", ["NOT_READY", "TIMEOUT", "NO_DEVICE", "STREAM_CAPTURE_UNSUPPORTED"])
def test_nobody_is_told_to_restart_for_what_passes(name: str) -> None:
    assert "restart" not in error_of(name).cure


@pytest.mark.parametrize(
    "name",
    [
        "STREAM_CAPTURE_UNSUPPORTED",
        "STREAM_CAPTURE_INVALIDATED",
        "STREAM_CAPTURE_MERGE",
        "STREAM_CAPTURE_UNMATCHED",
        "STREAM_CAPTURE_UNJOINED",
        "STREAM_CAPTURE_ISOLATION",
        "STREAM_CAPTURE_IMPLICIT",
        "CAPTURED_EVENT",
        "STREAM_CAPTURE_WRONG_THREAD",
    ],
)
def test_what_cannot_be_recorded_names_the_option_that_leaves_it_out(name: str) -> None:
    error = error_of(name)

    assert "cannot be recorded in a CUDA graph" in error.came
    assert error.cure == 'leave cuda_graph at "auto", or set it to False'


def test_every_code_of_the_driver_has_words_and_crosses_a_process_boundary() -> None:
    for code in driver.CUresult:
        error = cuda_error(int(code), code.name, "x", detail="said the driver")
        assert code.name in error.came
        assert error.came.endswith("(said the driver)")
        assert error.expected
        assert error.cure
        assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_memory_that_is_short_says_what_was_asked_and_what_is_free() -> None:
    assert memory_error("device memory", 1_500_000, 200_000).came == "1.5 MB were asked for, 0.2 MB are free"
    assert memory_error("device memory", 1_500_000, None).came == "1.5 MB were asked for"


def test_a_driver_that_cannot_be_loaded_says_the_reason_in_one_line() -> None:
    error = no_driver(OSError("libcuda.so.1: cannot open shared object file\nand more"))

    assert error.came == "the NVIDIA driver cannot be loaded: libcuda.so.1: cannot open shared object file"
    assert "--flavour onnxruntime" in error.cure


def test_a_number_that_is_no_gpu_says_which_there_are() -> None:
    assert no_such_device(1, 1).came == "GPU number 1 was asked for, and only number 0 is here"
    assert no_such_device(4, 3).came == "GPU number 4 was asked for, and they are 0 to 2 here"


def test_a_timeout_is_not_taken_for_a_refusal_to_record() -> None:
    assert "cuda_graph" not in error_of("TIMEOUT").cure
