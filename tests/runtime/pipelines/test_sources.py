"""Real files and a real server on this machine; cameras and GStreamer as far as a machine without them can tell."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.media import write_video

from briges.runtime.errors import ImageError
from briges.runtime.pipelines import sources
from briges.runtime.pipelines.sources import open_source

Camera = Callable[[list[tuple[int, int]]], AbstractContextManager[str]]


def test_a_file_is_a_source_that_is_not_live(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.avi", 9, fps=12.5)
    with open_source(str(path)) as source:
        facts = (source.name, source.width_px, source.height_px, source.fps, source.frame_count, source.live)
        assert facts == (f"video {path}", 70, 56, 12.5, 9, False)
        assert len(list(source.frames)) == 9


def test_a_file_is_taken_whatever_its_name_looks_like(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("0", "a ! b.avi"):
        write_video(Path("x.avi"), 2).rename(name)
        with open_source(name) as source:
            assert (source.name, source.live) == (f"video {name}", False)


def test_a_network_camera_is_live_and_when_it_vanishes_that_is_said(
    network_camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    with network_camera([(56, 70)] * 40) as url, open_source(url) as source:
        assert (source.width_px, source.height_px, source.frame_count, source.live) == (70, 56, None, True)
        with caplog.at_level(logging.WARNING, "briges"):
            frames = list(source.frames)
    assert len(frames) >= 38  # the last one or two may be lost with the connection
    assert np.abs(frames[0][10, 10].astype(int) - (255, 0, 0)).max() < 30, "RGB"
    assert caplog.messages == [f"stream {url}: ended after {len(frames)} frames; what came until then is kept"]


def test_a_camera_that_changes_its_size_on_the_way_goes_on(network_camera: Camera) -> None:
    with network_camera([(56, 70)] * 20 + [(84, 112)] * 20) as url, open_source(url) as source:
        frames = list(source.frames)
    assert len(frames) >= 38
    # Recent releases of OpenCV scale to the first size, older ones hand on what comes.
    assert frames[-1].shape in ((56, 70, 3), (84, 112, 3))
    assert np.abs(frames[-1][-5, 5].astype(int) - (0, 0, 255)).max() < 30


def test_what_is_not_there_is_refused_without_telling_the_password() -> None:
    with pytest.raises(ImageError) as caught, open_source("rtsp://admin:top@secret@127.0.0.1:9/live"):
        pass
    assert (caught.value.subject, caught.value.came) == ("stream rtsp://127.0.0.1:9/live", "cannot be opened")
    assert "secret" not in str(caught.value)
    with pytest.raises(ImageError, match=r"video nowhere\.mp4: does not exist"), open_source("nowhere.mp4"):
        pass
    with pytest.raises(ImageError, match="a!b: cannot be opened"), open_source("http://127.0.0.1:9/a!b"):
        pass
    for name in ("97", "/dev/video97"):
        with pytest.raises(ImageError) as caught, open_source(name):
            pass
        assert (caught.value.subject, caught.value.came) == (f"camera {name}", "cannot be opened")
        assert "/dev/video*" in caught.value.cure


def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_TIMEOUT_MS", 300)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/camera"
        started_s = time.perf_counter()
        with pytest.raises(ImageError, match="cannot be opened"), open_source(url):
            pass
        assert time.perf_counter() - started_s < 5


@pytest.mark.skipif(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="this OpenCV has GStreamer")
def test_a_pipeline_without_gstreamer_is_refused_with_where_to_get_it() -> None:
    with pytest.raises(ImageError) as caught, open_source("videotestsrc ! appsink"):
        pass
    assert caught.value.subject == "pipeline videotestsrc ! appsink"
    assert caught.value.came.endswith("was built without GStreamer, as the wheels on PyPI are")
    assert "python3-opencv" in caught.value.cure


@pytest.mark.skipif(not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="this OpenCV has no GStreamer")
def test_a_pipeline_gives_its_frames() -> None:
    caps = "video/x-raw,format=BGR,width=70,height=56"
    with open_source(f"videotestsrc num-buffers=5 ! {caps} ! appsink") as source:
        assert (source.width_px, source.height_px, source.live) == (70, 56, True)
        assert len(list(source.frames)) == 5
