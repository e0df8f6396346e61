"""Where frames come from: a file, a camera, a stream over the network or a GStreamer pipeline."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from briges.runtime.errors import ImageError
from briges.runtime.video import LEAST_SHARE, capture_facts, open_capture, open_video, without_password

logger = logging.getLogger("briges")

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_CAMERA = re.compile(r"(?:/dev/video)?([0-9]{1,4})")
# OpenCV waits for 30 s, for a server that does not answer as for the next frame of one that went silent.
_TIMEOUT_MS = 5000


@dataclass(frozen=True)
class Source:
    """An open source. ``frames`` yields uint8 RGB [height, width, 3], each a new array, once.

    ``width_px``, ``height_px`` and ``fps``, frames per second, are what it says before the first frame: a later frame
    may have another size. ``frame_count``: what a file's container says, else None. ``live``: frames come when they
    come, and those nobody takes are lost.
    """

    name: str
    width_px: int
    height_px: int
    fps: float
    frame_count: int | None
    live: bool
    frames: Iterator[NDArray[np.uint8]]


@contextlib.contextmanager
def open_source(text: str) -> Iterator[Source]:
    """Open what ``text`` names and close it again.

    text: a video file; a camera, "0" or "/dev/video0"; an address, such as rtsp://..., http://...; or a GStreamer
        pipeline, known by its "!", that ends in an appsink and gives BGR. A file that exists is never read as another.
    Over the network a stream that states its length counts as a file, another one as live.
    Raises ImageError here if it cannot be opened, and from ``frames`` if not one frame comes, or frames that are not
    colours of 8 bits. A live source that ends, or an address that falls silent for 5 s, ends ``frames`` with a warning
    in the log; files behave as in ``briges.runtime.video.open_video``.
    """
    if os.path.isfile(text) or not (_CAMERA.fullmatch(text) or "!" in text or _URL.match(text)):
        with open_video(Path(text)) as video:
            subject, live = f"video {text}", False
            yield Source(subject, video.width_px, video.height_px, video.fps, video.frame_count, live, video.frames)
        return
    subject, cure, arguments = _how_to_open(text)
    expected = "a source of colour frames that OpenCV can read"
    with open_capture(
        arguments, ImageError(subject=subject, came="cannot be opened", expected=expected, cure=cure)
    ) as capture:
        width_px, height_px, fps, frame_count = capture_facts(capture, subject)
        live = frame_count is None
        yield Source(subject, width_px, height_px, fps, frame_count, live, _frames(capture, subject, cure, frame_count))


def _how_to_open(text: str) -> tuple[str, str, tuple[Any, ...]]:
    """The name for messages, without passwords, the cure if it fails, and the arguments for OpenCV."""
    import cv2

    shown = without_password(text)
    if camera := _CAMERA.fullmatch(text):
        cure = "connect it, close what else uses it, and try another index: 0 is the first; ls /dev/video* lists them"
        return f"camera {text}", cure, (int(camera[1]),)
    if not _URL.match(text):
        _require_gstreamer(shown)
        cure = "try it with gst-launch-1.0; end it in: ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true"
        return f"pipeline {shown}", cure, (text, cv2.CAP_GSTREAMER)
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS]
    cure = "check the address, user and password with ffplay, and that the server answers within 5 s"
    return f"stream {shown}", cure, (text, cv2.CAP_FFMPEG, timeouts)


def _require_gstreamer(pipeline: str) -> None:
    import cv2

    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise ImageError(
            subject=f"pipeline {pipeline}",
            came=f"OpenCV {cv2.__version__} here was built without GStreamer, as the wheels on PyPI are",
            expected="an OpenCV with GStreamer",
            cure="use JetPack's or the distribution's (apt install python3-opencv) in an environment made with "
            "--system-site-packages, or give a camera's index or an rtsp:// address",
        )


def _frames(capture: Any, subject: str, cure: str, frame_count: int | None) -> Iterator[NDArray[np.uint8]]:
    count = 0
    while True:
        fine, frame = capture.read()
        if not fine:
            break
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ImageError(
                subject=subject,
                came=f"gives frames of {frame.dtype} {list(frame.shape)}",
                expected="uint8 [height, width, 3]",
                cure=cure,
            )
        count += 1
        yield np.ascontiguousarray(frame[:, :, ::-1])  # OpenCV gives BGR
    if count == 0:
        raise ImageError(subject=subject, came="gives no frame", expected="a source that sends frames", cure=cure)
    if frame_count is None or count < frame_count * LEAST_SHARE:
        logger.warning("%s: ended after %d frames; what came until then is kept", subject, count)
