"""Two runs against each other: the ratio of their medians, how sure it is, and what differed around them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from briges.benchmarks.rows import Environment, LatencyRow
from briges.runtime.errors import ResultError

_RESAMPLES = 1000
_SEED = 0
# A median of resampled medians needs no more; more would take minutes.
_MOST_SAMPLES = 4000
_KEY = ("preset", "precision", "size", "batch", "engine", "attention", "temperature", "semantic_interval", "cuda_graph")
_HOW = ("mode", "frame_size", "copies", "images", "streams", "threads", "rate_fps")
# What changes from one moment to the next on the same machine.
_FLEETING = ("temperature_c", "clocks")


@dataclass(frozen=True)
class Comparison:
    """``ratio``: median latency of ``new`` over that of ``old``, above 1 is slower; ``low`` to ``high``: its 95 %
    bootstrap interval. ``differences``: what else was different, in words.
    """

    old: LatencyRow
    new: LatencyRow
    ratio: float
    low: float
    high: float
    differences: tuple[str, ...]

    def is_slower(self, share: float) -> bool:
        """Whether it is slower by more than ``share``, and surely slower at all: the interval lies above 1."""
        return self.ratio > 1 + share and self.low > 1


def compare_rows(old: Sequence[LatencyRow], new: Sequence[LatencyRow]) -> tuple[list[Comparison], list[str]]:
    """Pair what measured the same; and the labels of what has no partner. One row against one is always a pair.

    Of several rows of the same the last one counts. Raises ResultError if there is no pair.
    """
    for row in (*old, *new):
        if not row.samples_ms or min(row.samples_ms) <= 0:
            raise ResultError(
                subject=row.subject.label,
                came="it has no samples, or some that took no time",
                expected="latencies above 0",
                cure="measure it again",
            )
    before, after = {_key(row): row for row in old}, {_key(row): row for row in new}
    if len(before) == len(after) == 1:
        (first,), (second,) = before.values(), after.values()
        return [_compare(first, second)], []
    shared = [key for key in before if key in after]
    if not shared:
        raise ResultError(
            subject="comparison",
            came=f"nothing that both files measured: {len(before)} and {len(after)} measurements",
            expected="two runs of the same preset, size, precision, backend, frames and mode",
            cure="name files that share a measurement, or files with one measurement each",
        )
    alone = [row.subject.label for key, row in (before | after).items() if key not in shared]
    return [_compare(before[key], after[key]) for key in shared], alone


def _key(row: LatencyRow) -> tuple[object, ...]:
    method = row.method
    how = tuple(getattr(method, name) for name in _HOW)
    return (*(getattr(row.subject, name) for name in _KEY), *how)


def _compare(old: LatencyRow, new: LatencyRow) -> Comparison:
    ratio = new.latency.p50_ms / old.latency.p50_ms
    generator = np.random.default_rng(_SEED)
    medians = [_resampled_medians(row.samples_ms, generator) for row in (old, new)]
    low, high = np.percentile(medians[1] / medians[0], [2.5, 97.5])
    return Comparison(old, new, ratio, float(low), float(high), tuple(_differences(old, new)))


def _resampled_medians(samples_ms: Sequence[float], generator: np.random.Generator) -> NDArray[np.float64]:
    """Medians of 1000 samples drawn again, in blocks of neighbours: a busy moment makes several requests slow, and as
    single draws they would count as that many independent ones (block bootstrap, Künsch 1989).
    """
    samples = np.asarray(samples_ms)[:: math.ceil(len(samples_ms) / _MOST_SAMPLES)]
    block = math.ceil(math.sqrt(len(samples)))
    starts = generator.integers(0, len(samples) - block + 1, (_RESAMPLES, math.ceil(len(samples) / block)))
    # [resamples, blocks, 1] + [block] -> [resamples, blocks * block]
    indices = (starts[:, :, None] + np.arange(block)).reshape(_RESAMPLES, -1)
    medians: NDArray[np.float64] = np.median(samples[indices], axis=1)
    return medians


def _differences(old: LatencyRow, new: LatencyRow) -> list[str]:
    found = []
    for name in (*_KEY, "backend", "manifest_sha256"):
        found += _difference(name, getattr(old.subject, name), getattr(new.subject, name))
    for name in (*_HOW, "timed_region", "frames"):
        found += _difference(name, getattr(old.method, name), getattr(new.method, name))
    locked = ["not locked" in (row.environment.clocks or "") for row in (old, new)]
    found += _difference("clocks not locked", *locked)  # how many MHz it is at the moment says nothing
    found += [
        f"the median of {name} never settled" for name, row in (("OLD", old), ("NEW", new)) if not row.stability.stable
    ]
    found += [f"{name} was interrupted" for name, row in (("OLD", old), ("NEW", new)) if row.interrupted]
    for field in dataclasses.fields(Environment):
        if field.name not in (*_FLEETING, "versions"):
            found += _difference(field.name, getattr(old.environment, field.name), getattr(new.environment, field.name))
    versions = old.environment.versions, new.environment.versions
    for name in sorted(versions[0].keys() | versions[1].keys()):
        found += _difference(name, versions[0].get(name), versions[1].get(name))
    return found


def _difference(name: str, old: object, new: object) -> list[str]:
    return [] if old == new else [f"{name}: {old} -> {new}"]
