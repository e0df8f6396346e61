"""Order, drops, errors and the end, with a real engine whose depth is known."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.stub_bundle import HEIGHT_PX, WIDTH_PX, build_stub_bundle

from briges.runtime.estimator import DepthEstimator
from briges.runtime.pipelines.stages import FrameReport, PipelineSummary, run_pipeline
from briges.runtime.result import DepthResult

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("briges-")] == []


class _Slow(DepthEstimator):
    """The real one, after a pause."""

    def batch(self, images: Sequence[Image], *, temperature: float | None = None) -> list[DepthResult]:
        time.sleep(0.03)
        return super().batch(images, temperature=temperature)


def _grey(count: int, pause_s: float = 0.0) -> Iterator[Image]:
    for value in range(count):
        time.sleep(pause_s)
        yield np.full((HEIGHT_PX, WIDTH_PX, 3), value, np.uint8)


class _Seen:
    """A sink: the values of the frames and of their depths, and how many were lost before each."""

    def __init__(self, *, pause_s: float = 0.0, fail_at: int | None = None) -> None:
        self.frames: list[int] = []
        self.depths: list[int] = []
        self.lost: list[int] = []
        self._pause_s, self._fail_at = pause_s, fail_at

    def __call__(self, image: Image, result: DepthResult, lost: int) -> None:
        time.sleep(self._pause_s)
        if len(self.frames) == self._fail_at:
            raise ValueError("sink")
        self.frames.append(int(image[0, 0, 0]))
        self.depths.append(round(float(result.depth[0, 0])))
        self.lost.append(lost)


def _run(
    bundle: Path,
    frames: Iterator[Image],
    sink: _Seen,
    *,
    kind: type[DepthEstimator] = DepthEstimator,
    latest: bool = False,
    stop: threading.Event | None = None,
    max_frames: int | None = None,
    reports: list[FrameReport] | None = None,
) -> PipelineSummary:
    with kind(bundle) as estimator:
        return run_pipeline(
            frames,
            estimator,
            sink,
            latest=latest,
            stop=stop or threading.Event(),
            max_frames=max_frames,
            on_frame=(lambda report: None) if reports is None else reports.append,
        )


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("slow", ["source", "inference", "sink"])
def test_every_frame_comes_once_and_in_order_whoever_is_slow(tmp_path: Path, slow: str, batch: int) -> None:
    sink = _Seen(pause_s=0.01 if slow == "sink" else 0.0)
    kind = _Slow if slow == "inference" else DepthEstimator
    frames = _grey(18, 0.01 if slow == "source" else 0.0)
    summary = _run(build_stub_bundle(tmp_path, batch=batch), frames, sink, kind=kind)
    assert sink.frames == sink.depths == list(range(18))
    assert (summary.frames, summary.dropped, len(summary.latencies_ms)) == (18, 0, 18)
    assert sink.lost == [0] * 18


def test_of_a_live_source_the_newest_frame_is_taken_and_the_others_are_counted(bundle: Path) -> None:
    sink, reports = _Seen(), []
    summary = _run(bundle, _grey(60, 0.005), sink, kind=_Slow, latest=True, reports=reports)
    assert sink.frames == sink.depths == sorted(sink.frames)
    assert sink.frames[-1] == 59, "the last one is not lost"
    assert summary.frames == len(sink.frames) < 40
    assert summary.frames + summary.dropped == 60
    assert sum(sink.lost) == reports[-1].dropped == summary.dropped
    assert max(summary.latencies_ms) < 1000


def test_a_live_source_slower_than_the_engine_loses_nothing(bundle: Path) -> None:
    sink = _Seen()
    assert _run(bundle, _grey(10, 0.05), sink, latest=True).dropped == 0
    assert sink.frames == list(range(10))


def test_the_stages_overlap(bundle: Path) -> None:
    sink = _Seen(pause_s=0.03)
    summary = _run(bundle, _grey(15, 0.03), sink, kind=_Slow)
    assert summary.seconds < 0.75 * 15 * 0.09, "three times 0.03 s per frame, at the same time"


def test_latency_counts_the_waiting_and_the_times_are_those_of_the_stages(bundle: Path) -> None:
    reports: list[FrameReport] = []
    summary = _run(bundle, _grey(8), _Seen(pause_s=0.02), reports=reports)
    assert [report.latency_ms for report in reports] == list(summary.latencies_ms)
    assert all(report.times.write_ms >= 20 for report in reports)
    assert summary.latencies_ms[-1] > 60, "it waited for those before it"
    assert all(report.semantics_age is None for report in reports)


def test_an_error_of_the_source_is_raised_after_the_frames_before_it_are_done(bundle: Path) -> None:
    def frames() -> Iterator[Image]:
        yield from _grey(5)
        raise ValueError("source")

    sink = _Seen()
    with pytest.raises(ValueError, match="source"):
        _run(bundle, frames(), sink)
    assert sink.frames == [0, 1, 2, 3, 4]


def test_an_error_of_inference_is_raised_and_what_was_estimated_is_done(bundle: Path) -> None:
    class Failing(DepthEstimator):
        def batch(self, images: Sequence[Image], *, temperature: float | None = None) -> list[DepthResult]:
            if images[0][0, 0, 0] == 3:
                raise ValueError("inference")
            return super().batch(images, temperature=temperature)

    sink = _Seen(pause_s=0.02)
    with pytest.raises(ValueError, match="inference"):
        _run(bundle, _grey(255, 0.001), sink, kind=Failing)
    assert sink.frames == [0, 1, 2]


@pytest.mark.parametrize("latest", [False, True])
def test_an_error_of_the_sink_ends_an_endless_source(bundle: Path, latest: bool) -> None:
    def endless() -> Iterator[Image]:
        while True:
            yield from _grey(200, 0.001)

    sink = _Seen(fail_at=3)
    with pytest.raises(ValueError, match="sink"):
        _run(bundle, endless(), sink, latest=latest)
    assert len(sink.frames) == 3


def test_ctrl_c_in_inference_ends_all_and_what_was_estimated_is_done(bundle: Path) -> None:
    class Interrupted(DepthEstimator):
        def batch(self, images: Sequence[Image], *, temperature: float | None = None) -> list[DepthResult]:
            if images[0][0, 0, 0] == 4:
                raise KeyboardInterrupt
            return super().batch(images, temperature=temperature)

    sink = _Seen()
    with pytest.raises(KeyboardInterrupt):
        _run(bundle, _grey(255, 0.001), sink, kind=Interrupted)
    assert sink.frames == [0, 1, 2, 3]


def test_a_stop_from_outside_ends_it_as_the_end_of_the_source_does(bundle: Path) -> None:
    stop, sink = threading.Event(), _Seen()
    threading.Timer(0.3, stop.set).start()
    summary = _run(bundle, _grey(255, 0.02), sink, stop=stop)
    assert 0 < summary.frames < 200
    assert sink.frames == list(range(summary.frames))


@pytest.mark.parametrize("latest", [False, True])
def test_the_most_frames_are_kept_to_exactly(tmp_path: Path, latest: bool) -> None:
    sink = _Seen()
    summary = _run(build_stub_bundle(tmp_path, batch=4), _grey(255, 0.001), sink, latest=latest, max_frames=6)
    assert summary.frames == len(sink.frames) == 6


def test_a_temperature_the_bundle_cannot_take_is_told(bundle: Path) -> None:
    with DepthEstimator(bundle) as estimator, pytest.raises(Exception, match="whose temperature is none"):
        run_pipeline(_grey(9), estimator, _Seen(), latest=False, stop=threading.Event(), temperature=2.0)
