"""Frames out of real videos, depth videos back, and nothing half-written."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support.media import landmarks, write_video

from briges.runtime.errors import ImageError, OutputError
from briges.runtime.video import open_video, video_writer, without_password


def _write(
    path: Path,
    frames: list[NDArray[np.uint8]],
    error: BaseException | None = None,
    *,
    keep_interrupted: bool = False,
) -> None:
    """Write ``frames``, 10 per second, and then raise ``error``, if any, before the video is finished."""
    with video_writer(path, 10.0, keep_interrupted=keep_interrupted) as write:
        for frame in frames:
            write(frame)
        if error is not None:
            raise error


def test_frames_come_in_order_as_rgb_with_the_rate_and_count_of_the_file(tmp_path: Path) -> None:
    with open_video(write_video(tmp_path / "x.avi", 9, fps=12.5)) as video:
        assert (video.width_px, video.height_px, video.fps, video.frame_count) == (70, 56, 12.5, 9)
        frames = list(video.frames)
    assert len(frames) == 9
    for index, frame in enumerate(frames):
        assert (frame.shape, frame.dtype) == ((56, 70, 3), np.uint8)
        assert abs(float(frame[:, :30].mean()) - 20 * index) < 3
        assert frame[:, 40:].mean() > 250


def test_colours_are_neither_swapped_on_reading_nor_on_writing(tmp_path: Path) -> None:
    _write(tmp_path / "x.mp4", [landmarks()] * 3)
    with open_video(tmp_path / "x.mp4") as video:
        assert (video.width_px, video.height_px, video.fps, video.frame_count) == (70, 56, 10.0, 3)
        frame = next(video.frames).astype(int)
    assert np.abs(frame[10, 10] - (255, 0, 0)).max() < 25
    assert np.abs(frame[-10, 10] - (0, 0, 255)).max() < 25


def test_an_odd_size_loses_its_last_row_and_column_only(tmp_path: Path) -> None:
    _write(tmp_path / "x.mp4", [landmarks(57, 71)])
    with open_video(tmp_path / "x.mp4") as video:
        assert (video.width_px, video.height_px) == (70, 56)


def test_files_that_are_no_video_are_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.avi").touch()
    _write(tmp_path / "whole.mp4", [landmarks()] * 20)
    (tmp_path / "half.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:600])
    for name in ("text.mp4", "empty.avi", "half.mp4"):
        with pytest.raises(ImageError) as caught, open_video(tmp_path / name):
            pass
        assert caught.value.subject == f"video {tmp_path / name}"
        assert caught.value.came == "cannot be opened"
        assert "convert it" in caught.value.cure


def test_a_missing_video_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    long = tmp_path / ("n" * 5000 + ".mp4")
    for path, came in ((tmp_path / "x.mp4", "does not exist"), (long, "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(ImageError, match=came), open_video(path):
            pass


def test_a_video_without_a_frame_is_an_error_and_not_an_empty_result(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "x.avi", 5).read_bytes()
    # The headers stay; what follows the name of the list of frames is zeroed.
    start = whole.index(b"movi") + 4
    (tmp_path / "x.avi").write_bytes(whole[:start] + bytes(len(whole) - start))
    with pytest.raises(ImageError, match="has no frame that can be decoded"), open_video(tmp_path / "x.avi") as video:
        list(video.frames)


def test_frames_too_small_for_depth_are_refused_before_decoding(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.avi", 2, height=12, width=12)
    with pytest.raises(ImageError, match="12x12 pixels"), open_video(path):
        pass


def test_a_truncated_video_gives_what_it_has_and_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_video(tmp_path / "x.avi", 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with caplog.at_level(logging.WARNING, "briges"), open_video(path) as video:
        assert video.frame_count == 40
        decoded = len(list(video.frames))
    assert 5 < decoded < 36
    assert caplog.messages == [f"video {path}: ended after {decoded} of 40 frames; the file may be truncated"]


def test_a_whole_video_gives_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "briges"), open_video(write_video(tmp_path / "x.avi", 10)) as video:
        assert len(list(video.frames)) == 10
    assert caplog.messages == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ImageError])
def test_a_video_that_is_not_finished_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, stop: type[BaseException]
) -> None:
    (tmp_path / "x.mp4").write_bytes(b"old")
    error = stop() if stop is KeyboardInterrupt else ImageError(subject="s", came="c", expected="e", cure="u")
    with pytest.raises(stop):
        _write(tmp_path / "x.mp4", [landmarks()], error)
    assert (tmp_path / "x.mp4").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.mp4"]


def test_a_size_the_encoder_cannot_take_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        _write(tmp_path / "x.mp4", [np.zeros((64, 9000, 3), np.uint8)])
    assert "9000x64 pixels" in caught.value.came
    assert "--side-by-side" in caught.value.cure
    assert os.listdir(tmp_path) == []


def test_a_frame_of_another_size_is_refused_before_the_encoder_drops_it_without_a_word(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        _write(tmp_path / "x.mp4", [landmarks(), landmarks(), landmarks(28, 30)])
    assert caught.value.subject == f"output {tmp_path / 'x.mp4'}"
    assert caught.value.came == "its frame 3 would be 30x28 pixels, the first is 70x56"
    assert caught.value.expected == "frames of one size, since a video has one"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("frames", [[landmarks()] * 5, [landmarks()] * 5 + [landmarks(28, 28)]])
def test_what_was_encoded_before_an_interruption_or_an_error_is_kept_if_asked_for(
    tmp_path: Path, frames: list[NDArray[np.uint8]]
) -> None:
    (tmp_path / "x.mp4").write_bytes(b"old")
    stop = KeyboardInterrupt if len(frames) == 5 else ImageError
    with pytest.raises(stop):
        _write(tmp_path / "x.mp4", frames, KeyboardInterrupt(), keep_interrupted=True)
    assert os.listdir(tmp_path) == ["x.mp4"]
    with open_video(tmp_path / "x.mp4") as video:
        assert len(list(video.frames)) == 5


def test_without_a_frame_there_is_nothing_to_keep(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path / "x.mp4", [], KeyboardInterrupt(), keep_interrupted=True)
    assert (tmp_path / "x.mp4").read_bytes() == b"old"


def test_frames_the_encoder_drops_are_noticed(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; import numpy as np\n"
        "from briges.runtime.video import video_writer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "with video_writer(Path(sys.argv[1]), 10.0) as write:\n"
        "    for seed in range(20):\n"
        "        write(np.random.default_rng(seed).integers(0, 255, (128, 128, 3), np.uint8))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "x.mp4")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert re.search(r"OutputError: output .*: the encoder wrote \d+ of 20 frames", done.stderr)
    assert os.listdir(tmp_path) == []


def test_the_hosts_log_level_and_environment_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: Any = getattr(cv2.utils, "logging", cv2)
    silent, error, before = 0, 2, log.getLogLevel()
    monkeypatch.delenv("OPENCV_FFMPEG_LOGLEVEL", raising=False)
    log.setLogLevel(error)
    try:
        with open_video(write_video(tmp_path / "x.avi", 2)) as video:
            list(video.frames)
            assert log.getLogLevel() == silent
        assert log.getLogLevel() == error
    finally:
        log.setLogLevel(before)
    assert "OPENCV_FFMPEG_LOGLEVEL" not in os.environ


def test_importing_the_modules_does_not_import_opencv_or_pillow() -> None:
    modules = ", ".join(f"briges.runtime.{name}" for name in ("cli", "images", "infer", "inputs", "outputs", "video"))
    code = f"import sys, {modules}; sys.exit(repr({{'cv2', 'PIL', 'rich', 'onnxruntime'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stderr.strip() == "set()"


@pytest.mark.parametrize("name", ["rtsp:/127.0.0.1:9/stream", "0"])
def test_a_camera_or_address_where_a_file_is_expected_is_sent_to_the_stream_command(name: str) -> None:
    with pytest.raises(ImageError) as caught, open_video(Path(name)):
        pass
    assert caught.value.cure == "`briges stream` takes cameras and addresses"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://admin:secret@host/x", "rtsp://host/x"),
        ("rtsp:/admin:pa/secret@host/x", "rtsp:/host/x"),
        ("folder/me@home.mp4", "folder/me@home.mp4"),
    ],
)
def test_no_password_is_shown(source: str, shown: str) -> None:
    assert without_password(source) == shown


def test_a_frame_after_the_end_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with video_writer(tmp_path / "depth.mp4", 10.0) as write:
        write(landmarks())
    (tmp_path / "depth.mp4").unlink()
    with pytest.raises(OutputError, match="a frame after the video was closed"):
        write(landmarks())
    assert os.listdir(tmp_path) == []
