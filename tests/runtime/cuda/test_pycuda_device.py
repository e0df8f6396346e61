"""The device layer on the real pycuda and the simulated driver. pycuda is source only: most machines skip this."""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.gpu_bundle import as_tensorrt
from support.simulated_gpu import SimulatedGpu, number, on_simulated_gpu, simulated
from support.stub_bundle import build_stub_bundle, luminance, own_size

from briges.runtime import DepthEstimator
from briges.runtime.cuda.choose import open_device
from briges.runtime.cuda.device import Device
from briges.runtime.errors import BackendError

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pycuda") is None, reason="pycuda is not installed")

PTX = b""".version 8.0
.target sm_75
.visible .entry add_one(
	.param .u64 .ptr .global .align 1 add_one_param_0,
	.param .u32 add_one_param_1,
	.param .f32 add_one_param_2
)
{}
"""
PARAMETERS = ("pointer", "int32", "float32")
NOTHING = dict.fromkeys(("device_memory", "host_memory", "streams", "events", "graphs", "modules", "contexts"), 0)


def opened(index: int = 0) -> Device:
    """GPU number ``index`` by pycuda, which names more of the driver than ours has: what it never calls may lack."""
    sys.setdlopenflags(os.RTLD_LAZY)
    return open_device(index)


def current_context() -> int | None:
    """What is current in this thread, asked of the driver and not of pycuda."""
    context = ctypes.c_void_p()
    library: Any = ctypes.CDLL("libcuda.so.1")
    assert library.cuCtxGetCurrent(ctypes.byref(context)) == 0
    return context.value


def add(gpu: SimulatedGpu) -> None:
    """The kernel: adds its third parameter to so many floats."""

    def kernel(_grid: tuple[int, ...], values: list[int]) -> None:
        count = int(number(values[1], "int32"))
        gpu.memory(values[0], np.float32, count)[...] += number(values[2], "float32")

    gpu.kernels["add_one"] = kernel


@on_simulated_gpu(BRIGES_CUDA="pycuda", SIM_CAPABILITY=87, SIM_INTEGRATED=1, SIM_DEVICES=2)
def test_the_device_is_described_and_everything_is_given_back() -> None:
    with simulated() as gpu:
        device = opened(1)
        assert (device.name, device.compute_capability, device.integrated) == ("Simulated GPU 1", "8.7", True)
        assert (device.index, device.memory_bytes, device.has_graphs) == (1, 1 << 30, False)
        assert device.package.startswith("pycuda 20")
        with device.current(), device.current():
            stream, event = device.stream(), device.event()
            event.record(stream)
            device.load_kernel(PTX, "add_one", PARAMETERS, 128, 0)
            buffer, host = device.allocate(1000), device.allocate_host(500)
            assert (buffer.size_bytes, host.size_bytes, host.array.shape) == (1000, 500, (500,))
            free, whole = device.memory()
            assert whole - free == 1000
            for held in (buffer, host):
                held.free()
                held.free()
        device.close()
        device.close()
        assert gpu.live() == NOTHING  # although the stream and the event are still referred to here


@on_simulated_gpu(BRIGES_CUDA="pycuda")
def test_what_was_current_is_current_again_also_after_closing() -> None:
    with simulated() as gpu:
        device = opened()
        import pycuda.driver as cuda

        with device.current():
            pass
        assert current_context() is None
        device.close()
        assert current_context() is None

        users = cuda.Device(0).retain_primary_context()
        users.push()
        device = opened()
        with device.current():
            device.stream()
        device.close()
        assert current_context() == users.handle
        cuda.Context.pop()
        assert current_context() is None
        assert gpu.live()["contexts"] == 1  # the user's
        users.detach()


@on_simulated_gpu(BRIGES_CUDA="pycuda")
def test_it_is_used_in_one_thread_and_closed_in_another() -> None:
    with simulated() as gpu:
        device = opened()
        failed: list[BaseException] = []

        def work() -> None:
            try:
                with device.current():
                    stream, host = device.stream(), device.allocate_host(4)
                    device.fill(host.pointer, 5, 4, stream)
                    stream.synchronize()
                    assert host.array.tolist() == [5] * 4
                    host.free()
                device.close()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert failed == []
        assert gpu.live() == NOTHING


@on_simulated_gpu(BRIGES_CUDA="pycuda")
def test_copies_and_fills_happen_in_the_order_of_the_stream() -> None:
    with simulated():
        device = opened()
        with device.current():
            stream, host, buffer = device.stream(), device.allocate_host(64), device.allocate(64)
            host.array[:] = np.arange(64)
            device.copy(buffer.pointer, host.pointer, 64, stream)
            device.fill(buffer.pointer + 32, 7, 16, stream)
            stream.synchronize()
            host.array[:] = 0
            device.copy(host.pointer, buffer.pointer, 64, stream)
            assert (host.array == 0).all(), "a copy is not done when it is queued"
            stream.synchronize()
            assert host.array.tolist() == [*range(32), *[7] * 16, *range(48, 64)]
            host.free()
            buffer.free()
        device.close()


@on_simulated_gpu(BRIGES_CUDA="pycuda")
def test_a_stream_waits_for_the_event_of_another() -> None:
    with simulated():
        device = opened()
        with device.current():
            first, second, event, done = device.stream(), device.stream(), device.event(), device.event()
            host, buffer = device.allocate_host(8), device.allocate(8)
            device.fill(buffer.pointer, 1, 8, first)
            event.record(first)
            second.wait(event)
            device.copy(host.pointer, buffer.pointer, 8, second)
            done.record(second)
            done.synchronize()
            assert (host.array == 1).all()
            assert event.elapsed_ms(done) >= 0
            device.fill(buffer.pointer, 2, 8, first)
            second.wait_for_stream(first.handle)
            device.copy(host.pointer, buffer.pointer, 8, second)
            second.synchronize()
            assert (host.array == 2).all()
            host.free()
            buffer.free()
        device.close()


@on_simulated_gpu(BRIGES_CUDA="pycuda")
def test_a_kernel_gets_the_arguments_of_its_launch() -> None:
    with simulated() as gpu:
        add(gpu)
        device = opened()
        with device.current():
            kernel = device.load_kernel(PTX, "add_one", PARAMETERS, 128, 60000)
            stream, host = device.stream(), device.allocate_host(16)
            values = host.array.view(np.float32)
            values[:] = 1
            kernel.launch((1, 1, 1), (host.pointer, 4, 0.5), stream)
            kernel.launch((1, 1, 1), (host.pointer, 2, -3.0), stream)
            stream.synchronize()
            assert values.tolist() == [-1.5, -1.5, 1.5, 1.5]
            before = gpu.live()
            for _ in range(50):
                kernel.launch((1, 1, 1), (host.pointer, 4, 1.0), stream)
            stream.synchronize()
            gc.collect()
            assert gpu.live() == before
            del values
            host.free()
        device.close()


@on_simulated_gpu(BRIGES_CUDA="pycuda")
def test_graphs_are_refused_with_the_package_that_has_them() -> None:
    with simulated():
        device = opened()
        with device.current(), pytest.raises(BackendError) as caught:
            device.capture(device.stream(), lambda: None)
        assert "cannot record CUDA graphs" in caught.value.came
        assert caught.value.cure.startswith("pip install 'briges-trt[cuda]'")
        device.close()


@on_simulated_gpu(BRIGES_CUDA="pycuda", SIM_MEMORY=1_000_000)
def test_memory_that_is_not_there_is_told_with_what_was_asked_and_what_is_free() -> None:
    with simulated() as gpu:
        device = opened()
        with device.current():
            held = device.allocate(400_000)
            with pytest.raises(BackendError) as caught:
                device.allocate(700_000)
            assert caught.value.came == "0.7 MB were asked for, 0.6 MB are free"
            held.free()
            gpu.fail("cuMemHostAlloc", 2)
            with pytest.raises(BackendError, match="page-locked host memory"):
                device.allocate_host(10)
        device.close()


@on_simulated_gpu(BRIGES_CUDA="pycuda")
def test_ptx_that_the_driver_refuses_is_told_with_its_log() -> None:
    with simulated():
        device = opened()
        with pytest.raises(BackendError, match="ptxas fatal: no version in this text"), device.current():
            device.load_kernel(b"nonsense", "add_one", (), 32, 0)
        with pytest.raises(BackendError, match="cuModuleGetFunction"), device.current():
            device.load_kernel(PTX, "absent", (), 32, 0)
        device.close()


@on_simulated_gpu(BRIGES_CUDA="pycuda")
def test_after_a_sticky_error_the_cure_is_to_restart_and_closing_still_works() -> None:
    with simulated():
        device = opened()

        def work() -> None:
            with device.current():
                stream, buffer = device.stream(), device.allocate(8)
                device.copy(buffer.pointer, 12345, 8, stream)
                stream.synchronize()

        with pytest.raises(BackendError) as caught:
            work()
        assert "illegal memory access" in caught.value.came
        assert caught.value.cure.startswith("restart the process")
        device.close()
        with pytest.raises(BackendError, match="the device is closed"), device.current():
            pass


@on_simulated_gpu(BRIGES_CUDA="pycuda", SIM_DEVICES=0)
def test_a_driver_without_a_gpu_is_not_called_a_missing_driver() -> None:
    with simulated(), pytest.raises(BackendError) as caught:
        opened()
    assert caught.value.came == ("the driver finds no GPU: CUDA_ERROR_NO_DEVICE, error 100 (cuInit failed: no device)")
    assert "--gpus all" in caught.value.cure


@on_simulated_gpu(BRIGES_CUDA="pycuda")
def test_a_photograph_becomes_depth_without_a_graph_and_one_that_is_insisted_on_is_refused(tmp_path: Path) -> None:
    from support.interpreted_kernels import interpret_kernels
    from support.stand_in_tensorrt import install

    as_tensorrt(build_stub_bundle(tmp_path / "host"), tmp_path / "gpu")
    sys.setdlopenflags(os.RTLD_LAZY)
    with simulated() as gpu:
        interpret_kernels(gpu)
        install(gpu)
        with DepthEstimator(tmp_path / "gpu") as estimator:
            assert ", pycuda 20" in estimator.backend_name
            for seed in range(2):
                assert np.abs(estimator(own_size(seed)).depth - luminance(own_size(seed))).max() <= 1e-4
        assert gpu.live() == {**NOTHING, "modules": 1}  # the stand-in's own

        with pytest.raises(BackendError, match="cannot record CUDA graphs"):
            insist_on_a_graph(tmp_path / "gpu")


def insist_on_a_graph(bundle: Path) -> None:
    with DepthEstimator(bundle, cuda_graph=True) as estimator:
        estimator(own_size())
