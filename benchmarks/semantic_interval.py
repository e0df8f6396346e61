"""How far depth drifts when the semantic features are computed for every N-th frame only, and what time that saves.

    python -m briges.benchmarks.semantic_interval BUNDLE VIDEO --intervals 1,2,4,8 --frames 40

The bundle must be split. Each interval sees the same frames; what it gives is compared with that of interval 1, frame
by frame: relative error = |d - d1| / |d1| in the L2 norm over the frame. The time is the whole call, by a host clock.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from briges.runtime import DepthEstimator
from briges.runtime.errors import BrigesError
from briges.runtime.semantics import SCENE_CHANGE
from briges.runtime.terminal import progress_bar
from briges.runtime.video import open_video


@dataclass(frozen=True)
class Drift:
    """One interval. ``computed``: for how many frames the features were; errors are relative, against interval 1."""

    interval: int
    frames: int
    computed: int
    mean_error: float
    largest_error: float
    mean_ms: float


def measure_interval(
    bundle: Path,
    frames: Sequence[NDArray[np.uint8]],
    reference: Sequence[NDArray[np.float32]] | None,
    interval: int,
    scene_change: float | None,
) -> tuple[Drift, list[NDArray[np.float32]]]:
    """Run ``frames``, uint8 RGB [h, w, 3], after a warm-up; ``reference``: the depths of interval 1, None for them.

    Raises what DepthEstimator does.
    """
    depths, latencies_ms, computed = [], [], 0
    with DepthEstimator(bundle, semantic_interval=interval, scene_change=scene_change) as estimator:
        for _ in range(interval):  # both kinds of frame, so that the first one measured has features of its own
            estimator(frames[0])
        for frame in frames:
            started = time.perf_counter()
            result = estimator(frame)
            latencies_ms.append((time.perf_counter() - started) * 1000)
            depths.append(result.depth)
            computed += result.semantics_age == 0
    errors = [
        float(np.linalg.norm(depth - own) / np.linalg.norm(own))
        for depth, own in zip(depths, reference or depths, strict=True)
    ]
    drift = Drift(
        interval, len(frames), computed, statistics.fmean(errors), max(errors), statistics.fmean(latencies_ms)
    )
    return drift, depths


def as_markdown(rows: Sequence[Drift]) -> str:
    """The table for people and README files."""
    columns = ("N", "frames", "features computed", "mean relative error", "largest", "mean ms per frame")
    head = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    return "\n".join(
        [
            head,
            *(
                f"| {row.interval} | {row.frames} | {row.computed} | {row.mean_error:.2e} | {row.largest_error:.2e} "
                f"| {row.mean_ms:.0f} |"
                for row in rows
            ),
        ]
    )


def _intervals(_context: click.Context, _parameter: click.Parameter, text: str) -> list[int]:
    numbers = text.split(",")
    if not all(number.isdecimal() and int(number) > 0 for number in numbers) or int(numbers[0]) != 1:
        raise click.BadParameter(f"{text!r}: numbers above 0, and 1 first, with which the others are compared")
    return list(map(int, numbers))


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--intervals", default="1,2,4,8", show_default=True, callback=_intervals, help="The first must be 1.")
@click.option("--frames", "count", type=click.IntRange(min=2), default=40, show_default=True)
@click.option("--scene-change", type=click.FloatRange(0, 1), default=SCENE_CHANGE, show_default=True)
def main(bundle: Path, video: Path, intervals: list[int], count: int, scene_change: float) -> None:
    """Measure how depth drifts with the semantic interval on VIDEO."""
    try:
        with open_video(video) as opened:
            frames = list(itertools.islice(opened.frames, count))
        rows: list[Drift] = []
        reference: list[NDArray[np.float32]] | None = None
        with progress_bar(len(intervals)) as on_progress:
            for interval in intervals:
                row, depths = measure_interval(bundle, frames, reference, interval, scene_change)
                rows.append(row)
                reference = reference or depths
                on_progress(len(rows))
    except BrigesError as error:
        raise click.ClickException(str(error)) from error
    click.echo(as_markdown(rows))


if __name__ == "__main__":
    main()
