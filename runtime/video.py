"""Frames out of a video, and a depth video out of frames."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from briges.runtime.errors import ImageError, OutputError
from briges.runtime.files import replacing
from briges.runtime.preprocess import check_image_size

logger = logging.getLogger("briges")

_DEFAULT_FPS = 30.0
_SILENT = 0  # of OpenCV's log levels
# Some containers name their clock, 90000 per second, where the frame rate belongs.
_MAX_FPS = 1000.0
# What a container says of its length is an estimate for some formats: this share of it is no damage.
LEAST_SHARE = 0.9


@dataclass(frozen=True)
class Video:
    """An open video. ``frames`` yields uint8 RGB [height, width, 3], each a new array, once.

    ``frame_count`` is what the container says, None if it does not; ``fps`` frames per second, 30 if it does not say.
    """

    width_px: int
    height_px: int
    fps: float
    frame_count: int | None
    frames: Iterator[NDArray[np.uint8]]


@contextlib.contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open ``path`` for reading and close it again.

    Raises ImageError here if there is no such file, it cannot be opened or has an unusable size, and from ``frames`` if
    not one frame can be decoded. A video that ends clearly before its stated length, as a truncated file does, yields
    what it has and logs a warning.
    """
    require_video_file(path)
    subject = f"video {path}"
    with open_capture((str(path),), _unreadable(subject, "cannot be opened")) as capture:
        width_px, height_px, fps, frame_count = capture_facts(capture, subject)
        yield Video(width_px, height_px, fps, frame_count, _frames(capture, frame_count, subject))


def without_password(source: str) -> str:
    """An address without the user and the password before its host; a password in its query stays."""
    return re.sub(r"(?<=:)(//?)\S*@", r"\1", source)


def require_video_file(path: Path) -> None:
    """Refuse what is no file, before anything slow is done for it. Raises ImageError."""
    if os.path.isfile(path):  # unlike Path.is_file, no exception for names the file system cannot have
        return
    cure, shown = "check the path", without_password(str(path))
    # An address lost a slash when it became a path.
    if re.match(r"[a-z]+:/|[0-9]+$", str(path)):
        cure = "`briges stream` takes cameras and addresses"
    came = "is a folder" if os.path.isdir(path) else "does not exist"
    raise ImageError(subject=f"video {shown}", came=came, expected="a video file", cure=cure)


@contextlib.contextmanager
def open_capture(arguments: Sequence[Any], refusal: ImageError) -> Iterator[Any]:
    """Give OpenCV's VideoCapture of ``arguments``, quietly, and release it. Raises ``refusal`` if it does not open."""
    import cv2

    with _quiet_opencv():
        capture = cv2.VideoCapture(*arguments)
        try:
            if not capture.isOpened():
                raise refusal
            yield capture
        finally:
            capture.release()


def capture_facts(capture: Any, subject: str) -> tuple[int, int, float, int | None]:
    """Width and height in pixels, frames per second and frame count of an open capture, as of ``Video``.

    Raises ImageError if the model cannot take that size.
    """
    import cv2

    width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    check_image_size(height, width, subject)
    fps, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    stated = int(count) if math.isfinite(count) and count >= 1 else None
    return width, height, (fps if 0 < fps <= _MAX_FPS else _DEFAULT_FPS), stated


def _frames(capture: Any, stated: int | None, subject: str) -> Iterator[NDArray[np.uint8]]:
    decoded = 0
    while True:
        fine, frame = capture.read()
        if not fine:
            break
        decoded += 1
        yield np.ascontiguousarray(frame[:, :, ::-1])  # OpenCV decodes to BGR
    if decoded == 0:
        raise _unreadable(subject, "has no frame that can be decoded")
    if stated is not None and decoded < stated * LEAST_SHARE:
        logger.warning("%s: ended after %d of %d frames; the file may be truncated", subject, decoded, stated)


def _unreadable(subject: str, came: str) -> ImageError:
    return ImageError(
        subject=subject,
        came=came,
        expected="a whole video in a format this OpenCV can decode",
        cure="play it to see whether it is whole; copy it again, or convert it to H.264 in .mp4",
    )


@contextlib.contextmanager
def video_writer(
    path: Path, fps: float, *, keep_interrupted: bool = False
) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """Give a function that appends one uint8 RGB frame [H, W, 3] to the .mp4 (MPEG-4) video ``path``.

    All frames must have the size of the first, else the function raises ImageError; of odd sizes the last row or column
    is lost, since MPEG-4 stores colour for 2x2 pixels. ``path`` appears when the block ends well. On any error and on
    Ctrl-C what was encoded so far is discarded, and a file that was there before stays; with ``keep_interrupted`` it is
    finished instead, a playable video, if there is a frame in it, and the error goes on. Raises OutputError if the
    encoder cannot be opened, or wrote fewer frames than it was given, as it does without a word where the disk is full.
    """
    written = 0
    writer: Any = None
    shape: tuple[int, ...] = ()
    interruption: BaseException | None = None
    ended, turn = False, threading.Lock()
    with _quiet_opencv(), replacing(path) as temporary:

        def write(frame: NDArray[np.uint8]) -> None:
            nonlocal written, writer, shape
            with turn:
                # A thread that Ctrl-C left behind must not open a file that nobody finishes.
                if ended:
                    raise _too_late(path)
                if writer is None:
                    writer, shape = _open_writer(temporary, path, fps, frame), frame.shape
                if frame.shape != shape:
                    raise _another_size(path, written, shape, frame.shape)
                writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
                written += 1

        try:
            yield write
        except BaseException as error:
            if not (keep_interrupted and written):
                raise
            interruption = error
        finally:
            with turn:
                ended = True
                if writer is not None:
                    writer.release()
        _check_written(temporary, path, written)
    if interruption is not None:
        raise interruption


def _too_late(path: Path) -> OutputError:
    return OutputError(
        subject=f"output {path}",
        came="a frame after the video was closed",
        expected="frames inside the block that writes it",
        cure="write them before the end",
    )


def _another_size(path: Path, index: int, first: tuple[int, ...], now: tuple[int, ...]) -> ImageError:
    return ImageError(
        subject=f"output {path}",
        came=f"its frame {index + 1} would be {now[1]}x{now[0]} pixels, the first is {first[1]}x{first[0]}",
        expected="frames of one size, since a video has one",
        cure="set the camera to one size, or convert the video to one",
    )


def _open_writer(temporary: Path, path: Path, fps: float, frame: NDArray[np.uint8]) -> Any:
    import cv2

    height, width = frame.shape[:2]
    writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    if not writer.isOpened():
        raise OutputError(
            subject=f"output {path}",
            came=f"the encoder refused {width}x{height} pixels at {fps:g} frames per second",
            expected="an OpenCV with an MPEG-4 encoder, and at most 8191 pixels per side",
            cure="leave out --side-by-side or scale the video down; opencv-python-headless from PyPI has the encoder",
        )
    return writer


def _check_written(temporary: Path, path: Path, expected: int) -> None:
    import cv2

    capture = cv2.VideoCapture(str(temporary))
    found = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    if found != expected or expected == 0:
        raise OutputError(
            subject=f"output {path}",
            came=f"the encoder wrote {found} of {expected} frames",
            expected="a writable place with enough free space",
            cure="free some space or choose another disk with --out",
        )


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV and FFmpeg from printing about broken files: our errors say it.

    OpenCV reads the variable when it first uses FFmpeg in this process; a level that the host has set stays.
    """
    import cv2

    log: Any = getattr(cv2.utils, "logging", cv2)  # where newer releases and where OpenCV 4.9 have the two functions
    level = log.getLogLevel()
    ours = "OPENCV_FFMPEG_LOGLEVEL" not in os.environ
    if ours:
        os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET
    log.setLogLevel(_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(level)
        if ours:
            os.environ.pop("OPENCV_FFMPEG_LOGLEVEL", None)
