"""Fewer points than samples, for drawing, with every extreme kept: what is rare is what a reader looks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Span(NamedTuple):
    """Some consecutive samples: where the first lies, and their median and extremes."""

    at: float
    median: float
    low: float
    high: float


def extremes(at: Sequence[float], values: Sequence[float], spans: int) -> list[Span]:
    """Cut ``values``, at least one, into at most ``spans`` runs of nearly equal length. ``at``: where each lies."""
    every = np.asarray(values, np.float64)
    starts = np.unique(np.linspace(0, len(every), min(spans, len(every)), endpoint=False).astype(np.int64))
    lows, highs = np.minimum.reduceat(every, starts), np.maximum.reduceat(every, starts)
    medians = [float(np.median(run)) for run in np.split(every, starts[1:])]
    return [
        Span(*one) for one in zip((at[start] for start in starts), medians, lows.tolist(), highs.tolist(), strict=True)
    ]


def counts(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """How many ``values`` lie between each two of the rising ``edges``."""
    return np.histogram(np.asarray(values, np.float64), np.asarray(edges, np.float64))[0].tolist()
