"""What the host does for a frame, against the reference pipeline of Depth Anything, in one run.

    python -m briges.benchmarks.host_pipeline

A 1920x1080 BGR frame to the network's input, and a depth map of that size back to the frame's. The reference is what
Depth Anything's public code does, with OpenCV and NumPy in float64: channels turned, divided by 255, resized with the
cubic kernel, normalised, turned into planes; the depth resized linearly. The two take turns; the values are compared
before a time is kept. No model runs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import click
import numpy as np
from numpy.typing import NDArray

from briges.export.presets import IMAGE_MEAN, IMAGE_STD
from briges.runtime import contracts
from briges.runtime.postprocess import restore_size
from briges.runtime.preprocess import Scratch, fill_depth_input, place
from briges.runtime.sidecar import ImageInput

DType = Literal["uint8", "float32"]

FRAME = (1080, 1920)
INPUT = (518, 924)


@dataclass(frozen=True)
class HostTime:
    """Median milliseconds of pre- and post-processing together. ``largest_difference``: of the inputs, in 1/255."""

    dtype: str
    ours_ms: float
    reference_ms: float
    largest_difference: float

    @property
    def ratio(self) -> float:
        """How many times as fast."""
        return self.reference_ms / self.ours_ms


def reference_input(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 BGR [h, w, 3] to float32 [3, H, W], as Depth Anything does it."""
    import cv2

    image: Any = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) / 255.0
    resized = cv2.resize(image, (INPUT[1], INPUT[0]), interpolation=cv2.INTER_CUBIC)
    normalised = (resized - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)).astype(np.float32)  # [H, W, 3] -> [3, H, W]


def measure(dtype: DType, rounds: int) -> HostTime:
    """Both pipelines in turn on one seeded frame; ``dtype``: of the network's input."""
    import cv2

    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (27, 48, 3), np.uint8)
    frame: Any = np.asarray(cv2.resize(coarse, (FRAME[1], FRAME[0]), interpolation=cv2.INTER_LINEAR))
    depth = generator.random(INPUT, np.float32)
    spec = ImageInput(contracts.IMAGE, dtype, *INPUT, IMAGE_MEAN, IMAGE_STD, "cubic")
    placement = place(*FRAME, spec, "pad")
    network_input = np.zeros(spec.shape(1)[1:], dtype)
    out, scratch = np.empty(FRAME, np.float32), Scratch()

    def ours() -> None:
        fill_depth_input(frame, spec, placement, network_input, bgr=True, scratch=scratch)
        restore_size(placement.crop(depth), *FRAME, out)

    def reference() -> None:
        reference_input(frame)
        cv2.resize(depth.astype(np.float64), (FRAME[1], FRAME[0]), interpolation=cv2.INTER_LINEAR)

    ours()
    difference = _difference(network_input, reference_input(frame), spec)
    times: dict[Callable[[], None], list[float]] = {ours: [], reference: []}
    for _ in range(rounds):
        for run, kept in times.items():
            started = time.perf_counter()
            run()
            kept.append((time.perf_counter() - started) * 1000)
    return HostTime(dtype, statistics.median(times[ours]), statistics.median(times[reference]), difference)


def _difference(ours: NDArray[np.float32], reference: NDArray[np.float32], spec: ImageInput) -> float:
    mean, std = np.array(spec.mean)[:, None, None], np.array(spec.std)[:, None, None]
    wanted = reference * std + mean
    if spec.dtype == "uint8":
        return float(np.abs(np.moveaxis(ours, -1, 0) - np.clip(wanted, 0, 255)).max())  # [H, W, 3] -> [3, H, W]
    return float(np.abs(ours * std + mean - wanted).max())


@click.command()
@click.option("--rounds", type=click.IntRange(min=3), default=30, show_default=True)
def main(rounds: int) -> None:
    """Time the host's part of a frame against the reference pipeline."""
    click.echo("| input | ours ms | reference ms | times as fast | largest difference, of 255 |\n|---|---|---|---|---|")
    for dtype in get_args(DType):
        row = measure(dtype, rounds)
        click.echo(
            f"| {row.dtype} | {row.ours_ms:.2f} | {row.reference_ms:.2f} | {row.ratio:.1f} "
            f"| {row.largest_difference:.3f} |"
        )


if __name__ == "__main__":
    main()
