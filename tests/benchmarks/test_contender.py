"""What is timed is what users run: bundles through the estimator, on a CPU and on the simulated GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.gpu_runs import build_stubs, gpu_with_kernels
from support.simulated_gpu import on_simulated_gpu
from support.stub_bundle import build_stub_bundle, luminance, own_size

from briges.benchmarks.contender import RunSpec, open_bundle
from briges.benchmarks.frames import Frames
from briges.runtime.errors import UsageError

FRAMES = Frames(tuple(own_size(seed) for seed in range(3)), "3 pictures", "56x70")


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


@pytest.fixture(scope="module")
def gpu_stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stubs(tmp_path_factory.mktemp("stub"))


def test_requests_take_the_frames_in_turn(stub: Path) -> None:
    with open_bundle(stub, RunSpec()) as contender:
        contender.load(FRAMES)
        for number in range(5):
            contender.request(number)
            out = contender._outs[number % 3]
            assert out is not None
            assert np.abs(out - luminance(FRAMES.images[number % 3])).max() <= 1e-3


def test_a_request_on_the_cpu_has_three_stages_by_the_hosts_clock(stub: Path) -> None:
    with open_bundle(stub, RunSpec()) as contender:
        contender.load(FRAMES)
        timings = contender.request(0)
        assert [name for name, _ in timings.parts] == ["preprocess", "model", "postprocess"]
        assert timings.clock == "host"
        assert 0 < timings.waited_ms <= timings.total_ms
        assert contender.device_name is None
        assert contender.copies is None


def test_every_engine_of_a_split_bundle_is_a_stage(split_tiny: Path) -> None:
    with open_bundle(split_tiny, RunSpec(semantic_interval=2)) as contender:
        contender.load(FRAMES)
        parts = [[name for name, _ in contender.request(number).parts] for number in range(3)]
    engines = ["geometry", "semantic", "fusion"]
    assert parts[0] == parts[2] == ["preprocess", *engines, "postprocess"]
    # Other pictures in turn, yet every second request uses the features of the one before.
    assert parts[1] == ["preprocess", "geometry", "fusion", "postprocess"]


def test_a_request_of_several_images_adds_their_shares(tmp_path: Path) -> None:
    bundle = build_stub_bundle(tmp_path, batch=2)
    with open_bundle(bundle, RunSpec()) as two, open_bundle(bundle, RunSpec(images=4)) as four:
        assert (two.images, four.images) == (2, 4)
        four.load(FRAMES)
        timings = four.request(0)
        assert [name for name, _ in timings.parts] == ["preprocess", "model", "postprocess"]
        assert timings.parts[0][1] == pytest.approx(timings.preprocess_ms)
        assert timings.parts[1][1] <= timings.inference_ms


def test_a_twin_has_its_own_buffers_and_the_same_frames(stub: Path) -> None:
    with open_bundle(stub, RunSpec()) as contender:
        contender.load(FRAMES)
        twin = contender.twin()
        twin.request(1)
        contender.request(0)
        twin.close()
        contender.request(1)


def test_copies_of_what_has_none_cannot_be_left_out(stub: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"--no-copies: a bundle of ONNX Runtime"),
        open_bundle(stub, RunSpec(copies=False)),
    ):
        pass


@on_simulated_gpu()
def test_on_a_gpu_copies_are_stages_and_each_engine_is_timed_without_a_graph(gpu_stub: Path) -> None:
    with gpu_with_kernels(), open_bundle(gpu_stub / "gpu", RunSpec(cuda_graph=False)) as contender:
        contender.load(FRAMES)
        timings = contender.request(0)
        names = [name for name, _ in timings.parts]
        assert names == ["host to device", "preprocess", "model", "postprocess", "device to host"]
        assert timings.clock == "device"
        assert timings.waited_ms > 0
        assert contender.copies is True
        assert contender.device_name == "Simulated GPU 0"


@on_simulated_gpu()
def test_a_graph_is_one_stage(gpu_stub: Path) -> None:
    with gpu_with_kernels(), open_bundle(gpu_stub / "gpu", RunSpec(cuda_graph=True)) as contender:
        contender.load(FRAMES)
        contender.request(0)  # runs by itself, then is recorded
        names = [name for name, _ in contender.request(1).parts]
        assert names == ["host to device", "preprocess", "inference", "postprocess", "device to host"]


@on_simulated_gpu()
def test_without_copies_frames_and_depth_stay_on_the_device(gpu_stub: Path) -> None:
    with gpu_with_kernels() as (gpu, _):
        with open_bundle(gpu_stub / "gpu", RunSpec(copies=False)) as contender:
            before = gpu.live()
            contender.load(FRAMES)
            assert gpu.live()["device_memory"] == before["device_memory"] + len(FRAMES.images)
            assert contender.timed_region.startswith("from a decoded uint8 photograph in device memory")
            contender.request(0)
            contender.request(1)
        assert gpu.live()["device_memory"] == 0
