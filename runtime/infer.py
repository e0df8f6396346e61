"""The work of `briges infer`: read, estimate and write, input by input; a bad input does not stop the others."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from briges.runtime.errors import ImageError
from briges.runtime.estimator import DepthEstimator
from briges.runtime.images import read_image
from briges.runtime.inputs import InputFile
from briges.runtime.outputs import picture, write_color, write_npy, write_png16
from briges.runtime.pipelines.depth_video import Look, make_depth_video
from briges.runtime.pipelines.pointcloud import Intrinsics, write_ply
from briges.runtime.pipelines.stages import FrameReport, StageTimes
from briges.runtime.result import DepthResult
from briges.runtime.video import open_video

Save = Literal["png16", "npy", "color"]


@dataclass(frozen=True)
class InferSpec:
    """What is written and how. ``save`` is about images; of a video there is one output, a depth video.

    ``point_cloud``: the .ply of the image, if there is one image, and the camera it was taken with.
    """

    out: Path
    save: tuple[Save, ...]
    look: Look
    temperature: float | None
    point_cloud: tuple[Path, Intrinsics] | None = None


@dataclass(frozen=True)
class Summary:
    """What a run did. ``times`` has one entry per image and per frame of the inputs that did not fail."""

    images: int
    videos: int
    failed: int
    seconds: float
    times: tuple[StageTimes, ...]

    def __str__(self) -> str:
        """One line with the median of each stage; the mean would be that of the first, slow image in a short run."""
        parts = []
        if self.images or not self.videos:
            parts.append(_count(self.images, "image"))
        if self.videos:
            parts.append(f"{_count(len(self.times) - self.images, 'frame')} of {_count(self.videos, 'video')}")
        line = f"{' and '.join(parts)} in {self.seconds:.1f} s"
        if self.times:
            medians = [statistics.median(stage) for stage in zip(*self.times, strict=True)]
            names = [name.removesuffix("_ms") for name in StageTimes._fields]
            stages = (f"{name} {ms:.{1 if ms < 100 else 0}f} ms" for name, ms in zip(names, medians, strict=True))
            line += f" - median per {'frame' if self.videos else 'image'}: {', '.join(stages)}"
        return line


def infer_all(
    estimator: DepthEstimator,
    inputs: Sequence[InputFile],
    spec: InferSpec,
    *,
    on_progress: Callable[[float], None],
    on_error: Callable[[ImageError], None],
) -> Summary:
    """Estimate all inputs in order and write the outputs into ``spec.out``.

    on_progress: called with the number of inputs done, in fractions within a video whose length is known
    on_error: called at once with the ImageError of an input that cannot be used; the next one follows
    Raises what cannot get better with the next input: OutputError, BackendError, UsageError for the temperature.
    """
    started = time.perf_counter()
    times: list[StageTimes] = []
    images = videos = done = 0
    for group in _groups(inputs, estimator.manifest.model.batch):
        if group[0].is_video:
            try:
                path = spec.out / f"{group[0].stem}_depth.mp4"
                times += _infer_video(estimator, group[0].path, path, spec, done, on_progress)
                videos += 1
            except ImageError as error:
                on_error(error)
        else:
            stages = _infer_images(estimator, group, spec, on_error)
            images += len(stages)
            times += stages
        done += len(group)
        on_progress(done)
    failed = len(inputs) - images - videos
    return Summary(images, videos, failed, time.perf_counter() - started, tuple(times))


def _groups(inputs: Sequence[InputFile], batch: int) -> Iterator[list[InputFile]]:
    """Neighbouring images as many at a time as the engine takes, videos one by one."""
    for is_video, neighbours in itertools.groupby(inputs, key=lambda item: item.is_video):
        while group := list(itertools.islice(neighbours, 1 if is_video else batch)):
            yield group


def _infer_images(
    estimator: DepthEstimator, group: list[InputFile], spec: InferSpec, on_error: Callable[[ImageError], None]
) -> list[StageTimes]:
    readable: list[tuple[InputFile, NDArray[np.uint8], float]] = []
    for item in group:
        started = time.perf_counter()
        try:
            readable.append((item, read_image(item.path), _ms_since(started)))
        except ImageError as error:
            on_error(error)
    results = estimator.batch([image for _, image, _ in readable], temperature=spec.temperature)
    times = []
    for (item, image, read_ms), result in zip(readable, results, strict=True):
        started = time.perf_counter()
        _write_image(item.stem, image, result, spec)
        times.append(_stage_times(read_ms, result, _ms_since(started)))
    return times


def _write_image(stem: str, image: NDArray[np.uint8], result: DepthResult, spec: InferSpec) -> None:
    if "png16" in spec.save:
        write_png16(spec.out / f"{stem}_depth.png", result.depth, result.notices)
    if "npy" in spec.save:
        write_npy(spec.out / f"{stem}_depth.npy", result.depth)
    if "color" in spec.save:
        coloured = picture(result.depth, spec.look.colormap, image if spec.look.side_by_side else None)
        write_color(spec.out / f"{stem}_depth_color.png", coloured, result.notices)
    if spec.point_cloud is not None:
        path, intrinsics = spec.point_cloud
        write_ply(path, result.depth, image, intrinsics, notices=result.notices)


def infer_video(
    estimator: DepthEstimator, path: Path, out: Path, spec: InferSpec, *, on_progress: Callable[[float], None]
) -> Summary:
    """Write the depth video ``out``, an .mp4, of the video ``path``.

    On an error and on Ctrl-C the frames that are done are kept in ``out``, and the error is raised: ImageError for an
    input that cannot be used, OutputError, BackendError, UsageError for the temperature.
    on_progress: called with the share that is done, 0..1, if the length is known
    """
    started = time.perf_counter()
    times = _infer_video(estimator, path, out, spec, 0, on_progress, keep_interrupted=True)
    return Summary(0, 1, 0, time.perf_counter() - started, tuple(times))


def _infer_video(
    estimator: DepthEstimator,
    path: Path,
    out: Path,
    spec: InferSpec,
    done: int,
    on_progress: Callable[[float], None],
    *,
    keep_interrupted: bool = False,
) -> list[StageTimes]:
    times: list[StageTimes] = []
    with open_video(path) as video:

        def on_frame(report: FrameReport) -> None:
            times.append(report.times)
            if video.frame_count is not None:
                on_progress(done + min(1.0, len(times) / video.frame_count))

        make_depth_video(
            video.frames,
            estimator,
            out,
            video.fps,
            spec.look,
            temperature=spec.temperature,
            keep_interrupted=keep_interrupted,
            on_frame=on_frame,
        )
    return times


def _stage_times(read_ms: float, result: DepthResult, write_ms: float) -> StageTimes:
    timings = result.timings
    return StageTimes(read_ms, timings.preprocess_ms, timings.inference_ms, timings.postprocess_ms, write_ms)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
