"""Runs a bundle for many frames and watches what must not grow: memory, file descriptors, threads.

    python -m briges.benchmarks.soak BUNDLE --frames 20000

Works for every flavour, on a GPU as on a CPU. After the warm-up the resident memory of the process may grow by less
than 2 MB; device memory is not in that figure. Frames are drawn from a seed, of two sizes in turn, so that buffers that
grow with a size would be seen.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from briges.benchmarks.usage import resident_bytes
from briges.runtime import DepthEstimator
from briges.runtime.errors import BrigesError
from briges.runtime.terminal import progress_bar

ALLOWED_BYTES = 2_000_000
_SIZES = ((240, 320), (180, 320))
_PICTURES = 8
_REPORTS = 100


@dataclass(frozen=True)
class Usage:
    """What the process holds: resident bytes, open file descriptors, threads (of Python and of libraries)."""

    resident_bytes: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Soak:
    """``before``: after the warm-up. ``after``: after the last frame. ``closed``: when the estimator was closed, and
    ``opened`` before it was made.
    """

    frames: int
    opened: Usage
    before: Usage
    after: Usage
    closed: Usage

    @property
    def grown_bytes(self) -> int:
        """Resident memory after the last frame, less that after the warm-up."""
        return self.after.resident_bytes - self.before.resident_bytes

    def problems(self) -> list[str]:
        """What grew or was left behind, in words; empty if all is well."""
        found = []
        if self.grown_bytes >= ALLOWED_BYTES:
            found.append(f"resident memory grew by {self.grown_bytes / 1e6:.1f} MB in {self.frames} frames")
        if self.after.descriptors != self.before.descriptors:
            found.append(f"{self.before.descriptors} file descriptors became {self.after.descriptors}")
        if self.after.threads != self.before.threads:
            found.append(f"{self.before.threads} threads became {self.after.threads}")
        if self.closed.descriptors > self.opened.descriptors:
            found.append(f"{self.closed.descriptors - self.opened.descriptors} file descriptors were left open")
        if self.closed.threads > self.opened.threads:
            found.append(f"{self.closed.threads - self.opened.threads} threads were left behind")
        return found


def read_usage(process: Path = Path("/proc/self")) -> Usage:
    """Ask Linux what this process holds."""
    held = resident_bytes(process)
    assert held is not None, "Linux says"
    return Usage(held, len(os.listdir(process / "fd")), len(os.listdir(process / "task")))


def soak(
    bundle: Path, frames: int, warm_up: int, on_progress: Callable[[float], None], *, threads: int | None = None
) -> Soak:
    """Run ``warm_up`` frames, then ``frames``; every result is looked at. Raises what DepthEstimator does."""
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (*_SIZES[index % len(_SIZES)], 3), np.uint8) for index in range(_PICTURES)]
    with DepthEstimator(bundle, threads=threads) as first:  # libraries keep threads of their own from now on
        first(pictures[0])
    opened = read_usage()
    with DepthEstimator(bundle, threads=threads) as estimator:
        for index in range(warm_up):
            estimator(pictures[index % _PICTURES])
        before = _settled()
        for index in range(frames):
            depth = estimator(pictures[index % _PICTURES]).depth
            assert depth.shape == pictures[index % _PICTURES].shape[:2]
            if index % max(1, frames // _REPORTS) == 0:
                on_progress(index / frames)
        after = _settled()
    return Soak(frames, opened, before, after, _settled())


def _settled() -> Usage:
    gc.collect()
    return read_usage()


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--frames", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--warm-up", type=click.IntRange(min=1), default=200, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: one per core]")
def main(bundle: Path, frames: int, warm_up: int, threads: int | None) -> None:
    """Run BUNDLE for many frames; exit code 1 if memory, file descriptors or threads grow."""
    try:
        with progress_bar(1) as on_progress:
            result = soak(bundle, frames, warm_up, on_progress, threads=threads)
    except BrigesError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{frames} frames after {warm_up}: resident memory {result.before.resident_bytes / 1e6:.1f} -> "
        f"{result.after.resident_bytes / 1e6:.1f} MB, {result.after.descriptors} file descriptors, "
        f"{result.after.threads} threads"
    )
    if problems := result.problems():
        raise click.ClickException("; ".join(problems))


if __name__ == "__main__":
    main()
