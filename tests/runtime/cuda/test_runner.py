"""TensorRT bundles from photograph to depth on the simulated GPU: the same depth as ONNX Runtime's, in every form.

The driver and TensorRT are stand-ins (support/simulated_gpu.py, support/stand_in_tensorrt.py); the bindings, the image
kernels' sources and everything of ours are real.
"""

from __future__ import annotations

import threading
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.gpu_bundle import as_tensorrt
from support.gpu_runs import build_stubs, gpu_with_kernels
from support.photographs import photograph
from support.simulated_gpu import on_simulated_gpu
from support.stub_bundle import luminance, own_size

from briges.runtime import DepthEstimator
from briges.runtime.errors import BackendError, UsageError

# The stub's depth is the picture's luminance, 0..255: one step of a rounded input, and interpolation in float32.
ONE_STEP = 1.01
NOTHING = {"device_memory": 0, "host_memory": 0, "streams": 0, "events": 0, "graphs": 0, "contexts": 0}


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stubs(tmp_path_factory.mktemp("stub"))


@pytest.fixture(scope="module")
def split(split_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    (folder / "host").symlink_to(split_tiny)
    as_tensorrt(split_tiny, folder / "gpu")
    return folder


def both(folder: Path, **options: Any) -> tuple[DepthEstimator, DepthEstimator]:
    return DepthEstimator(folder / "gpu", **options), DepthEstimator(folder / "host", threads=1)


def assert_same(gpu: NDArray[np.float32], host: NDArray[np.float32], share: float) -> None:
    """Within ``share`` of the largest value: inputs of 0..255 may differ by one where OpenCV rounds the other way."""
    assert gpu.shape == host.shape
    assert np.ptp(host) > 0.05 * host.max()
    error = float(np.abs(gpu - host).max() / host.max())
    print(f"largest difference {error:.1e} of the largest value")
    assert error <= share


@on_simulated_gpu()
def test_a_picture_of_the_engine_s_size_is_exact_with_and_without_a_graph(stub: Path) -> None:
    with gpu_with_kernels() as (gpu, _):
        for cuda_graph in (False, True, "auto"):
            with DepthEstimator(stub / "gpu", cuda_graph=cuda_graph) as estimator:
                assert estimator.backend_name.startswith("tensorrt 10.13.3.9 on Simulated GPU 0, cuda-python ")
                for seed in range(3):
                    result = estimator(own_size(seed))
                    assert np.abs(result.depth - luminance(own_size(seed))).max() <= 1e-4
                assert result.timings.clock == "device"
                assert result.timings.total_ms > 0
                graphs = gpu.live()["graphs"]
                assert graphs == (0 if cuda_graph is False else 1)
        assert {kind: count for kind, count in gpu.live().items() if kind in NOTHING} == NOTHING


@on_simulated_gpu(SIM_INTEGRATED=1)
def test_on_a_device_that_shares_its_memory_nothing_is_copied(stub: Path) -> None:
    with gpu_with_kernels() as (gpu, _), DepthEstimator(stub / "gpu") as estimator:
        assert np.abs(estimator(own_size()).depth - luminance(own_size())).max() <= 1e-4
        gpu.fail("cuMemcpyAsync", 700, after=1)  # the first is the temperature, four bytes
        assert np.abs(estimator(own_size(1)).depth - luminance(own_size(1))).max() <= 1e-4


@pytest.mark.parametrize("shape", [(120, 160), (61, 47)])
@on_simulated_gpu()
def test_with_the_real_kernels_photographs_agree_with_the_cpu(stub: Path, shape: list[int]) -> None:
    with gpu_with_kernels(interpreted=True):
        gpu, host = both(stub)
        height, width = shape
        image = np.ascontiguousarray(photograph("square")[:height, :width])
        with gpu, host:
            difference = np.abs(gpu(image).depth - host(image).depth)
            assert difference.max() <= ONE_STEP


@on_simulated_gpu()
def test_arrays_that_are_not_contiguous_and_buffers_to_write_into_are_taken(stub: Path) -> None:
    with gpu_with_kernels(), DepthEstimator(stub / "gpu") as estimator:
        turned = own_size()[:, ::-1]
        out = np.full(turned.shape[:2], np.nan, np.float32)
        result = estimator(turned, out=out)
        assert result.depth is out
        assert np.abs(out - luminance(np.ascontiguousarray(turned))).max() <= 1e-4


@on_simulated_gpu()
def test_bgr_and_temperature_reach_the_engine(stub: Path) -> None:
    with gpu_with_kernels(), DepthEstimator(stub / "gpu", bgr=True) as estimator:
        for temperature in (2.0, 0.5, None):
            depth = estimator(np.ascontiguousarray(own_size()[:, :, ::-1]), temperature=temperature).depth
            assert np.abs(depth - luminance(own_size()) / (temperature or 1.0)).max() <= 1e-3


@on_simulated_gpu()
def test_a_split_model_runs_its_encoders_on_two_streams_and_keeps_its_semantics(split: Path) -> None:
    with gpu_with_kernels() as (_, tensorrt):
        gpu = DepthEstimator(split / "gpu", semantic_interval=3, scene_change=None)
        host = DepthEstimator(split / "host", semantic_interval=3, scene_change=None)
        with gpu, host:
            semantic = tensorrt.contexts[1]  # geometry, semantic, fusion of the first size
            for step in range(4):
                image = np.ascontiguousarray(np.roll(photograph("square")[::4, ::4], 3 * step, axis=1))
                ours, theirs = gpu(image), host(image)
                assert ours.semantics_age == theirs.semantics_age == step % 3
                assert_same(ours.depth, theirs.depth, 0.03)
            assert semantic.runs == 2


@on_simulated_gpu()
def test_clones_share_the_engine_and_where_asked_the_activations(stub: Path) -> None:
    with gpu_with_kernels() as (gpu, tensorrt), DepthEstimator(stub / "gpu") as first:
        apart = first.clone()
        one, other = first.clone(share_activations=True), first.clone(share_activations=True)
        memories = [context.memory[0] for context in tensorrt.contexts]
        assert len({*memories}) == 3
        assert memories[2] == memories[3]
        wrong: list[int] = []

        def watch(estimator: DepthEstimator, seed: int) -> None:
            with estimator:
                for _ in range(3):
                    depth = estimator(own_size(seed)).depth
                    if np.abs(depth - luminance(own_size(seed))).max() > 1e-4:
                        wrong.append(seed)

        threads = [
            threading.Thread(target=watch, args=(estimator, seed)) for seed, estimator in enumerate((apart, one, other))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        first.close()
        assert {kind: count for kind, count in gpu.live().items() if kind in NOTHING} == NOTHING


@on_simulated_gpu()
def test_a_clone_that_is_closed_leaves_nothing_behind(stub: Path) -> None:
    with gpu_with_kernels() as (gpu, _), DepthEstimator(stub / "gpu") as first:
        first(own_size())
        before = gpu.live()
        for _ in range(3):
            with first.clone() as clone:
                clone(own_size())
        assert {kind: gpu.live()[kind] for kind in NOTHING} == {kind: before[kind] for kind in NOTHING}


@on_simulated_gpu()
def test_frames_allocate_nothing_once_the_buffers_are_there(stub: Path) -> None:
    with gpu_with_kernels() as (gpu, _), DepthEstimator(stub / "gpu") as estimator:
        out = np.empty((56, 70), np.float32)
        estimator(own_size(), out=out)
        before = gpu.live()
        gpu.fail("cuMemAlloc", 2)
        gpu.fail("cuMemHostAlloc", 2)
        for seed in range(3):
            estimator(own_size(seed), out=out)
        assert gpu.live() == before


@on_simulated_gpu()
def test_a_depth_that_is_no_number_is_refused(stub: Path) -> None:
    with gpu_with_kernels() as (_, tensorrt), DepthEstimator(stub / "gpu", cuda_graph=False) as estimator:
        tensorrt.contexts[0]._compute = lambda: None  # an engine that writes nothing
        with pytest.raises(BackendError, match="NaN or infinite depth"):
            estimator(own_size())


@pytest.mark.parametrize("percentiles", [None, [5, 90]])
@on_simulated_gpu()
def test_depth_can_stay_on_the_device_and_come_back_as_a_picture(stub: Path, percentiles: list[float] | None) -> None:
    chosen = (percentiles[0], percentiles[1]) if percentiles else None
    with gpu_with_kernels(interpreted=True) as (gpu, _):
        ours, host = both(stub)
        with ours, host:
            left = ours(own_size(), on_device=True)
            interface = left.depth.__cuda_array_interface__  # type: ignore[attr-defined]  # a DeviceArray
            assert (interface["shape"], interface["typestr"], interface["version"]) == ((56, 70), "<f4", 3)
            depth = gpu.memory(interface["data"][0], np.float32, 56 * 70).reshape(56, 70)
            assert np.abs(depth - luminance(own_size())).max() <= 1e-4
            picture = ours.colourise(left, "viridis", chosen)
            expected = host.colourise(host(own_size()), "viridis", chosen)
            with pytest.raises(UsageError, match="the depth of another estimator"), ours.clone() as other:
                other.colourise(left)
            # One of 256 colours further where the value is at the border of two.
            assert np.abs(picture.astype(int) - expected).max() <= 4
            assert (picture == expected).mean() > 0.95
            ours(own_size(1))
            with pytest.raises(UsageError, match="of 1 calls ago"):
                ours.colourise(left, "viridis", chosen)


@pytest.mark.parametrize("padding_bytes", [0, 14])
@on_simulated_gpu()
def test_a_photograph_on_the_device_never_comes_to_the_host(stub: Path, padding_bytes: int) -> None:
    with gpu_with_kernels() as (gpu, _), DepthEstimator(stub / "gpu") as estimator:
        device = estimator._shared.engines._device  # type: ignore[attr-defined]  # only the GPU's engines have one
        pitch_bytes = 70 * 3 + padding_bytes
        with device.current():
            buffer = device.allocate(56 * pitch_bytes)
        rows = gpu.memory(buffer.pointer, np.uint8).reshape(56, pitch_bytes)
        rows[:, : 70 * 3] = own_size().reshape(56, -1)

        interface = {"shape": (56, 70, 3), "typestr": "|u1", "strides": (pitch_bytes, 3, 1), "stream": 1, "version": 3}
        array = types.SimpleNamespace(__cuda_array_interface__={**interface, "data": (buffer.pointer, True)})
        depth = estimator(array).depth  # type: ignore[arg-type]  # what it takes beyond NumPy
        assert np.abs(depth - luminance(own_size())).max() <= 1e-4
        with device.current():
            buffer.free()
