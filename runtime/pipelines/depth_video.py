"""Frames to a depth video, or to nothing but figures."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from briges.runtime.errors import ImageError
from briges.runtime.estimator import DepthEstimator
from briges.runtime.outputs import picture
from briges.runtime.pipelines.stabilise import Stabiliser
from briges.runtime.pipelines.stages import FrameReport, PipelineSummary, run_pipeline
from briges.runtime.result import DepthResult
from briges.runtime.video import video_writer


@dataclass(frozen=True)
class Look:
    """How depth is shown. The colours of each frame span its own minimum and maximum: brightness is per frame.

    ``stabilise``: align each frame of a video with those before it, see ``briges.runtime.pipelines.stabilise``, and
    colour all of them over one slowly moving range.
    """

    colormap: str
    side_by_side: bool = False
    stabilise: bool = False


def make_depth_video(
    frames: Iterable[NDArray[np.uint8]],
    estimator: DepthEstimator,
    path: Path | None,
    fps: float,
    look: Look,
    *,
    temperature: float | None = None,
    latest: bool = False,
    max_frames: int | None = None,
    keep_interrupted: bool = False,
    stop: threading.Event | None = None,
    on_frame: Callable[[FrameReport], None],
) -> PipelineSummary:
    """Run ``frames``, uint8 RGB [H, W, 3], through the pipeline and write the .mp4 ``path``, or none.

    A frame stands in for those dropped just before it, so that the video keeps the pace of the source.
    The parameters are those of ``run_pipeline`` and ``video_writer``, whose errors it raises; KeyboardInterrupt if it
    was stopped before the first frame, when there is nothing to keep.
    """
    stop = threading.Event() if stop is None else stop
    draw = _drawing(look)
    with contextlib.ExitStack() as stack:
        write = None
        if path is not None:
            write = stack.enter_context(video_writer(path, fps, keep_interrupted=keep_interrupted))

        def sink(image: NDArray[np.uint8], result: DepthResult, lost: int) -> None:
            if write is not None:
                drawn = draw(image, result.depth)
                for _ in range(1 + lost):
                    write(drawn)

        summary = run_pipeline(
            frames,
            estimator,
            sink,
            latest=latest,
            stop=stop,
            temperature=temperature,
            max_frames=max_frames,
            on_frame=on_frame,
        )
        if summary.frames == 0:
            if stop.is_set():
                raise KeyboardInterrupt
            raise ImageError(subject="frames", came="not one came", expected="a frame", cure="check the source")
    return summary


def _drawing(look: Look) -> Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.uint8]]:
    """What turns a frame and its depth into a picture; it remembers the frames before it if ``look`` says so."""
    if not look.stabilise:
        return lambda image, depth: picture(depth, look.colormap, image if look.side_by_side else None)
    stabiliser = Stabiliser()

    def draw(image: NDArray[np.uint8], depth: NDArray[np.float32]) -> NDArray[np.uint8]:
        steady = stabiliser(depth, image)
        return picture(steady, look.colormap, image if look.side_by_side else None, stabiliser.limits)

    return draw
