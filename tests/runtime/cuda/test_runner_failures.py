"""What goes wrong on a GPU: one clear error each, nothing left behind, and the stated recovery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.gpu_runs import build_stubs, gpu_with_kernels
from support.simulated_gpu import on_simulated_gpu, simulated
from support.stub_bundle import luminance, own_size

from briges.runtime import BrigesError, DepthEstimator
from briges.runtime.errors import BackendError, BundleError, ImageError, UsageError
from briges.runtime.files import sha256_of

HELD = ("device_memory", "host_memory", "streams", "events", "graphs", "contexts")


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stubs(tmp_path_factory.mktemp("stub"))


def refused(bundle: Path, kind: type[BrigesError] = BackendError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        DepthEstimator(bundle, **options)
    print(caught.value)
    return str(caught.value)


def assert_works(estimator: DepthEstimator, seed: int = 0) -> None:
    assert np.abs(estimator(own_size(seed)).depth - luminance(own_size(seed))).max() <= 1e-4


@on_simulated_gpu(SIM_DEVICES=0)
def test_without_a_gpu_the_cure_is_another_bundle(stub: Path) -> None:
    with gpu_with_kernels():
        message = refused(stub / "gpu")
        assert "no NVIDIA GPU can be used here" in message
        assert "--flavour onnxruntime" in message


def test_without_a_driver_the_cure_is_another_bundle(stub: Path) -> None:
    from briges.runtime.gpu import read_driver

    if read_driver().devices:
        pytest.skip("this machine has a GPU")
    assert "no NVIDIA GPU can be used here (no libcuda.so.1: no NVIDIA driver)" in refused(stub / "gpu")


@on_simulated_gpu(SIM_DEVICES=2)
def test_a_gpu_that_is_not_there_is_named_with_those_that_are(stub: Path) -> None:
    with gpu_with_kernels():
        message = refused(stub / "gpu", device=5)
        assert "GPU number 5 was asked for" in message
        assert "0: Simulated GPU 0, 1: Simulated GPU 1" in message
        with DepthEstimator(stub / "gpu", device=1) as estimator:
            assert "Simulated GPU 1" in estimator.backend_name


@on_simulated_gpu(SIM_CAPABILITY=75)
def test_an_engine_for_another_gpu_is_refused_before_it_is_opened(stub: Path) -> None:
    with gpu_with_kernels() as (gpu, _):
        message = refused(stub / "gpu")
        assert "the GPU here is Simulated GPU 0, compute capability 7.5" in message
        assert "compute capability 8.9" in message
        assert gpu.live()["contexts"] == 0


@on_simulated_gpu()
def test_an_altered_engine_is_refused_by_its_hash(stub: Path, tmp_path: Path) -> None:
    import shutil

    bundle = shutil.copytree(stub / "gpu", tmp_path / "altered")
    with (bundle / "model.onnx").open("r+b") as stream:
        stream.write(b"XX")
    with gpu_with_kernels():
        assert "sha256" in refused(bundle, BundleError)


@on_simulated_gpu()
def test_what_tensorrt_cannot_read_is_told_in_its_words(stub: Path, tmp_path: Path) -> None:
    import shutil

    bundle = shutil.copytree(stub / "gpu", tmp_path / "garbage")
    (bundle / "model.onnx").write_bytes(b"no engine")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"]["model.onnx"] = {"sha256": sha256_of(bundle / "model.onnx"), "size_bytes": 9}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with gpu_with_kernels() as (gpu, _):
        assert "it made no engine of model.onnx: Serialization assertion" in refused(bundle)
        assert {kind: gpu.live()[kind] for kind in HELD} == dict.fromkeys(HELD, 0)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("runtime", "it made no runtime"),
        ("context", "it made no execution context"),
        ("address", "it refused the address of image"),
    ],
)
@on_simulated_gpu()
def test_every_answer_of_tensorrt_is_looked_at(stub: Path, fault: str, message: str) -> None:
    with gpu_with_kernels() as (gpu, tensorrt):
        tensorrt.faults.add(fault)
        assert message in refused(stub / "gpu")
        assert {kind: gpu.live()[kind] for kind in HELD} == dict.fromkeys(HELD, 0)


@on_simulated_gpu(SIM_MEMORY=20_000)
def test_memory_that_is_short_at_the_start_is_told_in_megabytes(stub: Path) -> None:
    with gpu_with_kernels() as (gpu, _):
        message = refused(stub / "gpu")
        assert "MB were asked for, 0.0 MB are free" in message
        assert {kind: gpu.live()[kind] for kind in HELD} == dict.fromkeys(HELD, 0)


@on_simulated_gpu()
def test_memory_that_is_short_for_one_photograph_leaves_the_next_one_working(stub: Path) -> None:
    with gpu_with_kernels() as (gpu, _), DepthEstimator(stub / "gpu") as estimator:
        assert_works(estimator)
        gpu.fail("cuMemAlloc", 2)
        with pytest.raises(BackendError, match=r"CUDA, device memory: \d+\.\d MB were asked for, \d+\.\d MB are free"):
            estimator(np.zeros((400, 500, 3), np.uint8))
        assert_works(estimator, 1)
        assert estimator(np.zeros((400, 500, 3), np.uint8)).depth.shape == (400, 500)


@on_simulated_gpu()
def test_an_inference_that_tensorrt_does_not_start_is_an_error_and_the_next_one_works(stub: Path) -> None:
    with gpu_with_kernels() as (_, tensorrt), DepthEstimator(stub / "gpu", cuda_graph=False) as estimator:
        tensorrt.faults.add("enqueue")
        with pytest.raises(BackendError, match="it refused to start an inference"):
            estimator(own_size())
        tensorrt.faults.clear()
        assert_works(estimator)


@on_simulated_gpu()
def test_a_gpu_that_fails_mid_stream_says_to_restart_and_closes_all_the_same(stub: Path) -> None:
    with gpu_with_kernels() as (gpu, _):
        estimator = DepthEstimator(stub / "gpu")
        assert_works(estimator)
        gpu.fail("cuEventSynchronize", 700)
        for _ in range(2):
            with pytest.raises(BackendError, match="cure: restart the process"):
                estimator(own_size())
        estimator.close()
        with pytest.raises(BackendError, match="it is closed"):
            estimator(own_size())


@on_simulated_gpu()
def test_where_no_graph_can_be_recorded_auto_goes_without_and_true_insists(stub: Path) -> None:
    with gpu_with_kernels() as (gpu, _):
        with DepthEstimator(stub / "gpu", cuda_graph="auto") as estimator:
            gpu.fail("cuGraphInstantiate", 801)
            for seed in range(3):
                assert_works(estimator, seed)
            assert gpu.live()["graphs"] == 0
        with DepthEstimator(stub / "gpu", cuda_graph=True) as estimator:
            gpu.fail("cuStreamEndCapture", 901)
            with pytest.raises(BackendError, match="cannot be recorded in a CUDA graph"):
                estimator(own_size())


@on_simulated_gpu()
def test_other_arrays_and_types_are_refused_in_words(stub: Path) -> None:
    with gpu_with_kernels(), DepthEstimator(stub / "gpu") as estimator:
        for image in (None, [[1]], np.zeros((60, 60, 3), np.float32), np.zeros((60, 60), np.uint8)):
            with pytest.raises(ImageError, match=r"a uint8 NumPy array \[height, width, 3\]"):
                estimator(image)
        with pytest.raises(UsageError, match="both it and out"):
            estimator(own_size(), out=np.empty((56, 70), np.float32), on_device=True)
        assert_works(estimator)


@on_simulated_gpu()
def test_a_driver_without_the_bindings_says_which_extra_brings_them(stub: Path) -> None:
    import sys

    with simulated(), pytest.MonkeyPatch.context() as patch:
        from support.simulated_gpu import SimulatedGpu
        from support.stand_in_tensorrt import install

        install(SimulatedGpu())
        patch.setattr("briges.runtime.cuda.choose._is_installed", lambda module: False)
        assert "pip install 'briges-trt[cuda]'" in refused(stub / "gpu", BrigesError)
        assert "tensorrt" in sys.modules
