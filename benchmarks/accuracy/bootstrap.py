"""Means over images, and how far another draw of images could have moved them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from briges.benchmarks.accuracy.rows import ImageScore, Interval

RESAMPLES = 1000
_SEED = 0
# Metrics that count, by what they are counted in: the mean of all pairs is not the mean of images.
_WEIGHTS = {"pair_accuracy": "pairs"}


def means_of(scores: Sequence[ImageScore]) -> dict[str, Interval]:
    """The mean of every metric over the images that have it. Of pairs, every pair counts the same."""
    measured = [score.metrics for score in scores if score.skipped is None]
    names = dict.fromkeys(name for metrics in measured for name in metrics if name not in _WEIGHTS.values())
    means = {}
    for name in names:
        having = [metrics for metrics in measured if name in metrics]
        weights = [metrics[_WEIGHTS[name]] if name in _WEIGHTS else 1.0 for metrics in having]
        means[name] = interval([metrics[name] for metrics in having], weights)
    return means


def interval(values: Sequence[float], weights: Sequence[float]) -> Interval:
    """The weighted mean of ``values``, one per image, and the 2.5th and 97.5th percentile of the means of 1000 draws.

    Each draw takes as many images as there are, with replacement, from a seeded generator: the same values always give
    the same interval. One image has an interval of no width, which says nothing. Percentile bootstrap, Efron 1979.
    """
    value, weight = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    count = len(value)
    drawn = np.random.default_rng(_SEED).integers(0, count, (RESAMPLES, count))
    means = (value * weight)[drawn].sum(axis=1) / weight[drawn].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(np.average(value, weights=weight)), float(low), float(high))
