"""The device layer on NVIDIA's bindings and the simulated driver: memory, copies, streams, graphs, kernels, errors."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from support.simulated_gpu import SimulatedGpu, number, on_simulated_gpu, simulated

from briges.runtime.cuda.choose import open_device
from briges.runtime.errors import BackendError

PTX = b""".version 8.0
.target sm_75
.visible .entry add_one(
	.param .u64 .ptr .global .align 1 add_one_param_0,
	.param .u32 add_one_param_1,
	.param .f32 add_one_param_2
)
{}
"""
NOTHING = dict.fromkeys(("device_memory", "host_memory", "streams", "events", "graphs", "modules", "contexts"), 0)


def add(gpu: SimulatedGpu) -> None:
    """The kernel: adds its third parameter to so many floats."""

    def kernel(_grid: tuple[int, ...], values: list[int]) -> None:
        count = int(number(values[1], "int32"))
        gpu.memory(values[0], np.float32, count)[...] += number(values[2], "float32")

    gpu.kernels["add_one"] = kernel


@on_simulated_gpu(SIM_CAPABILITY=87, SIM_INTEGRATED=1)
def test_the_device_is_described_and_everything_is_given_back() -> None:
    with simulated() as gpu:
        device = open_device(0)
        assert (device.name, device.compute_capability, device.integrated) == ("Simulated GPU 0", "8.7", True)
        assert device.memory_bytes == 1 << 30
        assert device.package.startswith("cuda-python ")
        assert device.has_graphs
        with device.current(), device.current():
            device.stream()
            device.event()
            buffer, host = device.allocate(1000), device.allocate_host(500)
            assert (buffer.size_bytes, host.size_bytes, host.array.shape) == (1000, 500, (500,))
            free, whole = device.memory()
            assert whole - free == 1000
            for held in (buffer, host):
                held.free()
                held.free()
        device.close()
        device.close()
        assert gpu.live() == NOTHING


@on_simulated_gpu()
def test_copies_and_fills_happen_in_the_order_of_the_stream_and_not_before_they_are_waited_for() -> None:
    with simulated():
        device = open_device(0)
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
        device.close()


@on_simulated_gpu()
def test_a_stream_waits_for_the_event_of_another() -> None:
    with simulated():
        device = open_device(0)
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
            second.wait_for_stream(1)  # the legacy default stream of other libraries
        device.close()


@on_simulated_gpu()
def test_a_kernel_gets_the_arguments_of_its_launch() -> None:
    with simulated() as gpu:
        add(gpu)
        device = open_device(0)
        with device.current():
            kernel = device.load_kernel(PTX, "add_one", ("pointer", "int32", "float32"), 128, 60000)
            stream, host = device.stream(), device.allocate_host(16)
            values = host.array.view(np.float32)
            values[:] = 1
            kernel.launch((1, 1, 1), (host.pointer, 4, 0.5), stream)
            kernel.launch((1, 1, 1), (host.pointer, 2, -3.0), stream)
            stream.synchronize()
            assert values.tolist() == [-1.5, -1.5, 1.5, 1.5]
            with pytest.raises(ValueError, match="shorter"):
                kernel.launch((1, 1, 1), (host.pointer, 4), stream)
        device.close()


@on_simulated_gpu()
def test_a_graph_is_recorded_without_running_and_replayed_with_the_values_of_then() -> None:
    with simulated() as gpu:
        add(gpu)
        device = open_device(0)
        with device.current():
            kernel = device.load_kernel(PTX, "add_one", ("pointer", "int32", "float32"), 128, 0)
            stream, side, host = device.stream(), device.stream(), device.allocate_host(16)
            fork, join = device.event(), device.event()
            values = host.array.view(np.float32)
            values[:] = 0

            def enqueue() -> None:
                fork.record(stream)
                side.wait(fork)
                kernel.launch((1, 1, 1), (host.pointer, 2, 1.0), side)
                join.record(side)
                kernel.launch((1, 1, 1), (host.pointer + 8, 2, 2.0), stream)
                stream.wait(join)

            graph = device.capture(stream, enqueue)
            stream.synchronize()
            assert (values == 0).all()
            for _ in range(3):
                graph.launch(stream)
            stream.synchronize()
            assert values.tolist() == [3, 3, 6, 6]
            graph.free()
            graph.free()
            assert gpu.live()["graphs"] == 0
        device.close()


@on_simulated_gpu()
def test_what_cannot_be_recorded_is_told_and_the_stream_works_again() -> None:
    with simulated() as gpu:
        device = open_device(0)
        with device.current():
            stream, host, side = device.stream(), device.allocate_host(8), device.stream()
            with pytest.raises(BackendError, match=r"cannot be recorded in a CUDA graph.*error 900"):
                device.capture(stream, stream.synchronize)
            fork = device.event()

            def unjoined() -> None:
                fork.record(stream)
                side.wait(fork)
                device.fill(host.pointer, 1, 8, side)

            with pytest.raises(BackendError, match="error 904"):
                device.capture(stream, unjoined)
            device.fill(host.pointer, 9, 8, stream)
            stream.synchronize()
            assert (host.array == 9).all()
            assert gpu.live()["graphs"] == 0
        device.close()


@on_simulated_gpu(SIM_MEMORY=1_000_000)
def test_memory_that_is_not_there_is_told_with_what_was_asked_and_what_is_free() -> None:
    with simulated() as gpu:
        device = open_device(0)
        with device.current():
            held = device.allocate(400_000)
            with pytest.raises(BackendError) as caught:
                device.allocate(700_000)
            assert caught.value.came == "0.7 MB were asked for, 0.6 MB are free"
            assert "smaller input size" in caught.value.cure
            held.free()
            device.allocate(700_000).free()
            gpu.fail("cuMemHostAlloc", 2)
            with pytest.raises(BackendError, match="page-locked host memory"):
                device.allocate_host(10)
        device.close()


@on_simulated_gpu()
def test_after_a_sticky_error_every_call_says_to_restart() -> None:
    with simulated():
        device = open_device(0)
        with device.current():
            stream, buffer = device.stream(), device.allocate(8)
            device.copy(buffer.pointer, 12345, 8, stream)
            for _ in range(2):
                with pytest.raises(BackendError) as caught:
                    stream.synchronize()
                assert "CUDA_ERROR_ILLEGAL_ADDRESS, error 700" in caught.value.came
                assert caught.value.cure.startswith("restart the process")
        device.close()  # without another error


@on_simulated_gpu()
def test_ptx_that_the_driver_refuses_is_told_with_its_log() -> None:
    with simulated():
        device = open_device(0)
        with device.current():
            with pytest.raises(BackendError, match="ptxas fatal: no version in this text"):
                device.load_kernel(b"nonsense", "add_one", (), 32, 0)
            with pytest.raises(BackendError, match="finding the kernel absent"):
                device.load_kernel(PTX, "absent", (), 32, 0)
        device.close()


@on_simulated_gpu()
def test_without_a_current_context_nothing_works() -> None:
    with simulated():
        device = open_device(0)
        with pytest.raises(BackendError, match="no CUDA context is current in this thread"):
            device.allocate(8)
        device.close()
        with pytest.raises(BackendError, match="the device is closed"), device.current():
            pass


@on_simulated_gpu()
def test_a_launch_allocates_nothing_that_stays() -> None:
    with simulated() as gpu:
        add(gpu)
        device = open_device(0)
        with device.current():
            kernel = device.load_kernel(PTX, "add_one", ("pointer", "int32", "float32"), 128, 0)
            stream, host = device.stream(), device.allocate_host(16)
            before = gpu.live()
            for _ in range(50):
                kernel.launch((1, 1, 1), (host.pointer, 4, 1.0), stream)
            stream.synchronize()
            gc.collect()
            assert gpu.live() == before
        device.close()
