"""Depth videos out of frames: what they show, and what is kept when something goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.media import landmarks
from support.stub_bundle import HEIGHT_PX, WIDTH_PX, build_stub_bundle

from briges.runtime.errors import ImageError
from briges.runtime.estimator import DepthEstimator
from briges.runtime.pipelines.depth_video import Look, make_depth_video
from briges.runtime.result import DepthResult
from briges.runtime.video import open_video

GREY = Look("bone")


@pytest.fixture(scope="module")
def estimator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DepthEstimator]:
    with DepthEstimator(build_stub_bundle(tmp_path_factory.mktemp("stub"))) as opened:
        yield opened


def _ignore(_report: object) -> None:
    pass


def _frames_of(path: Path) -> list[NDArray[np.uint8]]:
    with open_video(path) as video:
        return list(video.frames)


def _ramp(factor: float, offset: int) -> NDArray[np.uint8]:
    """Grey from 50 to 150 over the columns, times ``factor`` plus ``offset``: so is the stub's depth."""
    row = np.linspace(50, 150, WIDTH_PX) * factor + offset
    return np.broadcast_to(row[None, :, None], (HEIGHT_PX, WIDTH_PX, 3)).astype(np.uint8)


def _with_a_bright_corner(frame: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    """Every other frame has something near, which changes the range its colours span."""
    frame = frame.copy()
    frame[:8, :8] = 250 if index % 2 else 60
    return frame


@pytest.mark.parametrize("stabilise", [True, False])
def test_stabilised_colours_stay_where_the_depth_changes_in_scale_and_range_only(
    estimator: DepthEstimator, tmp_path: Path, stabilise: bool
) -> None:
    frames = [_with_a_bright_corner(_ramp(1 - 0.1 * (i % 2), 4 * (i % 3)), i) for i in range(30)]
    look = Look("bone", stabilise=stabilise)
    make_depth_video(iter(frames), estimator, tmp_path / "x.mp4", 10.0, look, on_frame=_ignore)
    middle = [float(frame[30:, 30:40].mean()) for frame in _frames_of(tmp_path / "x.mp4")[-8:]]
    flicker = max(middle) - min(middle)
    assert (flicker < 20) if stabilise else (flicker > 50)


def test_the_input_is_beside_stabilised_colours_too(estimator: DepthEstimator, tmp_path: Path) -> None:
    look = Look("bone", side_by_side=True, stabilise=True)
    make_depth_video(iter([landmarks()] * 3), estimator, tmp_path / "x.mp4", 10.0, look, on_frame=_ignore)
    last = _frames_of(tmp_path / "x.mp4")[-1]
    assert last.shape == (56, 140, 3)
    assert np.abs(last[10, 10].astype(int) - (255, 0, 0)).max() < 25
    assert last[-10, -10].min() > 235, "white is nearest"


def test_a_frame_of_another_size_is_one_error_and_what_was_written_is_playable(
    estimator: DepthEstimator, tmp_path: Path
) -> None:
    frames = [landmarks()] * 6 + [landmarks(84, 112)] * 6
    with pytest.raises(ImageError) as caught:
        make_depth_video(
            iter(frames), estimator, tmp_path / "x.mp4", 10.0, GREY, keep_interrupted=True, on_frame=_ignore
        )
    assert caught.value.came == "its frame 7 would be 112x84 pixels, the first is 70x56"
    assert len(_frames_of(tmp_path / "x.mp4")) == 6


@pytest.mark.parametrize("stabilise", [True, False])
def test_without_an_output_frames_may_change_their_size(estimator: DepthEstimator, stabilise: bool) -> None:
    frames = [landmarks()] * 6 + [landmarks(84, 112)] * 6
    look = Look("bone", stabilise=stabilise)
    assert make_depth_video(iter(frames), estimator, None, 10.0, look, on_frame=_ignore).frames == 12


def test_a_live_video_keeps_the_pace_of_its_source(tmp_path: Path) -> None:
    class Slow(DepthEstimator):
        def batch(self, images: Sequence[NDArray[np.uint8]], *, temperature: float | None = None) -> list[DepthResult]:
            time.sleep(0.02)
            return super().batch(images, temperature=temperature)

    def camera() -> Iterator[NDArray[np.uint8]]:
        for _ in range(40):
            time.sleep(0.005)
            yield landmarks()

    with Slow(build_stub_bundle(tmp_path)) as slow:
        summary = make_depth_video(camera(), slow, tmp_path / "x.mp4", 200.0, GREY, latest=True, on_frame=_ignore)
    assert summary.dropped > 5
    assert summary.frames + summary.dropped == 40
    assert len(_frames_of(tmp_path / "x.mp4")) >= 38


def test_a_stop_before_the_first_frame_leaves_nothing(estimator: DepthEstimator, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(KeyboardInterrupt):
        make_depth_video(
            iter([landmarks()]),
            estimator,
            tmp_path / "x.mp4",
            10.0,
            GREY,
            keep_interrupted=True,
            stop=stop,
            on_frame=_ignore,
        )
    assert list(tmp_path.iterdir()) == []
