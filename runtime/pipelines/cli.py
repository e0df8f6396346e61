"""`briges stream`: a camera or a video, live."""

from __future__ import annotations

import contextlib
import functools
import signal
import statistics
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from briges.runtime.main import requires, with_options
from briges.runtime.options import LOOK_OPTIONS, RUN_OPTIONS

if TYPE_CHECKING:
    from briges.runtime.backend import Provider
    from briges.runtime.pipelines.stages import PipelineSummary


@requires("cpu", "cv2")
@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("source")
@click.option("--out", type=click.Path(path_type=Path), help="Write a depth video, named .mp4.")
@click.option(
    "--latest/--all",
    default=None,
    help="Always the newest frame, or every frame.  [default: --latest for live sources, --all for files]",
)
@click.option("--max-frames", type=click.IntRange(min=1), help="End after this many.")
@functools.partial(with_options, options=LOOK_OPTIONS)
@functools.partial(with_options, options=RUN_OPTIONS)
def stream(
    bundle: Path,
    source: str,
    out: Path | None,
    latest: bool | None,
    max_frames: int | None,
    stabilise: bool,
    colormap: str,
    side_by_side: bool,
    semantic_interval: int,
    temperature: float | None,
    device: int,
    provider: Provider,
    threads: int | None,
) -> None:
    """Estimate the depth of SOURCE with the engine BUNDLE while it runs, and say how fast: until its end or Ctrl-C.

    \b
    The first camera, every frame that there is time for, into a video:
      briges stream build/engine 0 --out depth.mp4

    \b
    A network camera, without an output, to see rate and latency:
      briges stream build/engine rtsp://user:password@192.168.0.10/stream1

    \b
    A GStreamer pipeline, on a Jetson, whose OpenCV has GStreamer:
      briges stream build/engine 'nvarguscamerasrc ! nvvidconv ! video/x-raw,format=BGRx ! \\
          videoconvert ! video/x-raw,format=BGR ! appsink drop=true'

    \b
    A file, every frame of it:
      briges stream build/engine street.mp4 --out depth.mp4 --side-by-side

    Latency is from a decoded frame to the written one. A live source that ends, as a camera that is unplugged, is told
    and what was written is kept, as it is after Ctrl-C: the exit code is 0 if at least one frame was done.
    """
    from briges.runtime.estimator import DepthEstimator
    from briges.runtime.outputs import prepare_folder
    from briges.runtime.pipelines.depth_video import Look, make_depth_video
    from briges.runtime.pipelines.live_line import live_line
    from briges.runtime.pipelines.sources import open_source
    from briges.runtime.pipelines.targets import video_file
    from briges.runtime.terminal import warn, warnings_shown

    if out is not None:
        prepare_folder(video_file(source, out).parent)
    # The source last: a camera that is open would fill its buffers while the model loads.
    with (
        warnings_shown(),
        DepthEstimator(
            bundle, provider=provider, threads=threads, device=device, semantic_interval=semantic_interval
        ) as estimator,
        open_source(source) as opened,
        stopped_by_signals() as stop,
        live_line() as on_frame,
    ):
        summary = make_depth_video(
            opened.frames,
            estimator,
            out,
            opened.fps,
            Look(colormap, side_by_side, stabilise),
            temperature=temperature,
            latest=opened.live if latest is None else latest,
            max_frames=max_frames,
            keep_interrupted=True,
            stop=stop,
            on_frame=on_frame,
        )
    warn(estimator.notices)
    click.echo(f"{_figures(summary)} - {estimator.backend_name}{f' - depth in {out}' if out else ''}")


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Give an event that the first Ctrl-C, or polite kill, sets; the next one interrupts as ever."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _figures(summary: PipelineSummary) -> str:
    frames = f"{summary.frames} frame{'' if summary.frames == 1 else 's'}"
    text = f"{frames} in {summary.seconds:.1f} s - {summary.frames / summary.seconds:.1f} fps"
    text += (
        f" - latency median {statistics.median(summary.latencies_ms):.0f} ms, last {summary.latencies_ms[-1]:.0f} ms"
    )
    return f"{text} - {summary.dropped} dropped"
