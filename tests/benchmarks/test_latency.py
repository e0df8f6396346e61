"""A measurement from a synthetic backend of known latency, and from real bundles."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.gpu_runs import build_stubs, gpu_with_kernels
from support.injected_clock import InjectedClock
from support.simulated_gpu import on_simulated_gpu
from support.stub_bundle import build_stub_bundle, own_size

from briges.benchmarks import latency
from briges.benchmarks.contender import BundleContender, RunSpec, open_bundle
from briges.benchmarks.frames import Frames
from briges.benchmarks.latency import LatencySpec, measure_latency
from briges.benchmarks.latency_run import make_request, measure_all
from briges.benchmarks.rows import LatencyRow
from briges.benchmarks.timing import Plan
from briges.runtime.errors import BackendError, BrigesError, UsageError
from briges.runtime.result import Timings

FRAMES = Frames(tuple(own_size(seed) for seed in range(3)), "3 pictures, in turn", "56x70")
OPTIONS: dict[str, Any] = {
    "soak_min": None,
    "rate_fps": None,
    "streams": 1,
    "warmup_s": 0.0,
    "duration_s": 0.05,
    "min_iterations": 4,
    "cuda_graph": None,
    "frames": None,
    "frame_size": (56, 70),
    "provider": "cpu",
    "threads": 1,
    "device": 0,
    "semantic_interval": 1,
    "temperature": None,
    "copies": None,
    "batch": None,
    "lock_clocks": False,
    "checkpoint": None,
    "depth_weights": None,
    "semantic_weights": None,
}


def silent(_: object) -> None:
    """Where nobody watches."""


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


class Synthetic:
    """A contender whose request number n takes 10 + n % 3 ms, 1 of it on the host alone; its output is the stub's."""

    def __init__(self, real: Any, clock: InjectedClock) -> None:
        self._real, self._clock = real, clock
        self.__dict__.update({name: getattr(real, name) for name in ("subject", "manifest", "device_name", "packages")})
        self.timed_region, self.copies, self.images = "a synthetic backend", None, 2
        self.device_index, self.unlike_requests, self.breaks_at = None, 1, -1

    def load(self, frames: Frames) -> None:
        self._real.load(frames)

    def request(self, number: int) -> Timings:
        if number == self.breaks_at:
            raise BackendError(subject="engine", came="out of memory", expected="depth", cure="none")
        total_ms = 10.0 + number % 3
        self._clock.pass_s(total_ms / 1000)
        parts = (("preprocess", 1.0), ("model", total_ms - 1), *((("late", 5.0),) if number == 1 else ()))
        return Timings(1.0, total_ms - 1, 0.0, "host", parts, total_ms - 1)

    def depth_of(self, image: NDArray[np.uint8], temperature: float | None) -> NDArray[np.float32]:
        return self._real.depth_of(image, temperature)

    def twin(self) -> Any:
        raise AssertionError

    def close(self) -> None:
        """Nothing."""


def measure_synthetic(stub: Path, spec: LatencySpec, *, breaks_at: int = -1) -> tuple[LatencyRow, BrigesError | None]:
    clock = InjectedClock()
    with open_bundle(stub, RunSpec()) as real:
        contender = Synthetic(real, clock)
        contender.breaks_at = breaks_at
        return measure_latency(contender, stub, FRAMES, spec, on_step=silent, on_progress=silent, clock=clock)


def test_an_error_late_in_a_run_keeps_what_was_measured(stub: Path) -> None:
    spec = LatencySpec(Plan(0.0, 0.0, 12, settle=False))
    row, failure = measure_synthetic(stub, spec, breaks_at=5)
    assert row.samples_ms == pytest.approx([10, 11, 12, 10, 11])
    assert row.interrupted
    assert "out of memory" in str(failure)


def test_every_figure_of_a_synthetic_backend_is_as_computed_by_hand(stub: Path) -> None:
    row, _ = measure_synthetic(stub, LatencySpec(Plan(0.02, 0.0, 12, settle=False), command="briges bench"))
    assert row.samples_ms == pytest.approx([10, 11, 12] * 4)
    assert row.latency.p50_ms == pytest.approx(11)
    assert row.latency.p90_ms == pytest.approx(12)
    assert row.latency.mean_ms == pytest.approx(11)
    # Two images a request, twelve requests in 132 ms.
    assert row.throughput_fps == pytest.approx(24 / 0.132)
    assert row.overhead_ms == pytest.approx([1.0] * 12)
    assert row.started_s[:3] == pytest.approx([0, 0.010, 0.021])
    stages = {stage.name: stage.samples_ms for stage in row.stages}
    assert stages["model"] == pytest.approx([9, 10, 11] * 4)
    assert stages["late"] == (5.0,)
    assert row.check.agreement is not None
    assert row.method.command == "briges bench"
    assert row.method.images == 2
    assert not row.interrupted


def test_at_a_cameras_rate_waiting_is_latency_and_no_overhead(stub: Path) -> None:
    spec = LatencySpec(Plan(0, 0.0, 6), "fixed-rate", rate_fps=100.0)
    row, _ = measure_synthetic(stub, spec)
    # A frame every 10 ms; they take 10, 11, 12, 10, 11, 12.
    assert row.samples_ms == pytest.approx([10, 11, 13, 13, 14, 16])
    assert row.overhead_ms == pytest.approx([1.0] * 6)
    assert row.fixed_rate is not None
    assert (row.fixed_rate.offered, row.fixed_rate.missed, row.fixed_rate.queue_max) == (6, 5, 0)


def test_a_wrong_output_is_refused_before_the_first_request(stub: Path) -> None:
    clock = InjectedClock()
    with open_bundle(stub, RunSpec()) as real:
        contender = Synthetic(real, clock)
        contender.depth_of = lambda image, temperature: np.ones(image.shape[:2], np.float32)  # type: ignore[method-assign]  # what a broken engine gives
        spec = LatencySpec(Plan(0, 0.0, 4))
        with pytest.raises(BackendError, match="its depth is not the model's"):
            measure_latency(contender, stub, FRAMES, spec, on_step=silent, on_progress=silent, clock=clock)
    assert clock.seconds == 1000.0


def test_a_real_bundle_is_measured_with_its_environment(stub: Path) -> None:
    (row,) = measure_all(make_request([stub], ["engine"], "briges bench latency", OPTIONS), silent, silent)
    assert row.subject.preset == "stub"
    assert row.subject.engine == "onnxruntime"
    assert row.subject.bundle == "engine"
    assert row.subject.manifest_sha256 is not None
    assert row.latency.n == len(row.samples_ms) >= 4
    assert [stage.name for stage in row.stages] == ["preprocess", "model", "postprocess"]
    # The stages are within the request; what is between them is the estimator's own.
    for index, latency_ms in enumerate(row.samples_ms):
        assert sum(stage.samples_ms[index] for stage in row.stages) <= latency_ms + 0.001
    assert row.environment.device is None
    assert row.environment.cores >= 1
    assert "onnxruntime" in row.environment.versions
    assert row.usage.host_peak_bytes is not None
    assert row.usage.cpu > 0
    assert row.method.frames == "2 photographs that come with briges-trt, in turn"


def test_streams_are_measured_together(stub: Path) -> None:
    request = make_request([stub], ["engine"], "", OPTIONS | {"streams": 2})
    (row,) = measure_all(request, silent, silent)
    assert (row.method.mode, row.method.streams) == ("multi-stream", 2)
    assert row.latency.n >= 8


def test_the_other_streams_are_warm_before_anything_is_watched(stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    twin, watch = BundleContender.twin, latency.watch_host

    def noted_twin(self: BundleContender) -> BundleContender:
        order.append("twin")
        return twin(self)

    def noted_watch() -> Any:
        order.append("watch")
        return watch()

    monkeypatch.setattr(BundleContender, "twin", noted_twin)
    monkeypatch.setattr(latency, "watch_host", noted_watch)
    list(measure_all(make_request([stub], ["engine"], "", OPTIONS | {"streams": 3}), silent, silent))
    assert order == ["twin", "twin", "watch"]


def test_pytorch_eager_is_measured_beside_the_bundle(tiny_bundle: Path) -> None:
    request = make_request([tiny_bundle], ["engine", "torch-eager"], "", OPTIONS | {"duration_s": 0.01})
    engine, eager = measure_all(request, silent, silent)
    assert (engine.subject.engine, eager.subject.engine) == ("onnxruntime", "torch-eager")
    assert eager.subject.attention == "eager"
    assert eager.subject.manifest_sha256 is None
    assert eager.check.agreement is not None
    assert "RANDOM WEIGHTS" in eager.subject.notices[0]
    assert "torch" in eager.environment.versions
    assert eager.latency.n >= 4


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"soak_min": 1.0, "rate_fps": 30.0}, "--soak and --rate"),
        ({"rate_fps": 30.0, "streams": 2}, "--rate and --streams"),
    ],
)
def test_ways_to_send_requests_exclude_each_other(stub: Path, changes: dict[str, Any], names: str) -> None:
    with pytest.raises(UsageError, match=f"{names}: given together"):
        make_request([stub], ["engine"], "", OPTIONS | changes)


def test_a_soak_lasts_its_minutes_and_does_not_wait_for_a_stable_median(stub: Path) -> None:
    request = make_request([stub], ["engine"], "", OPTIONS | {"soak_min": 0.002})
    assert request.spec.plan == Plan(0.0, 0.12, 4, settle=False)
    assert request.spec.mode == "soak"


@on_simulated_gpu()
def test_a_tensorrt_bundle_is_split_into_stages_and_its_graph_timed_apart(tmp_path: Path) -> None:
    with gpu_with_kernels():
        stubs = build_stubs(tmp_path)
        request = make_request([stubs / "gpu"], ["engine"], "", OPTIONS)
        (row,) = measure_all(request, silent, silent)
        names = [stage.name for stage in row.stages]
        transfers = ["host to device", "preprocess", "inference", "postprocess", "device to host"]
        # The first request, which warmed up, ran without the graph: those timed have it.
        assert names == [*transfers, "model (without CUDA graph)"]
        assert {stage.clock for stage in row.stages} == {"device"}
        assert row.subject.cuda_graph is True
        assert row.method.copies is True
        assert row.environment.device == "Simulated GPU 0"
        assert row.environment.tensorrt is not None
        assert row.subject.engine == "tensorrt"

        insisting = dataclasses.replace(request, run=dataclasses.replace(request.run, cuda_graph=False))
        (apart,) = measure_all(insisting, silent, silent)
        assert "model" in [stage.name for stage in apart.stages]
        assert apart.subject.cuda_graph is False
