"""What is told of many latencies: nearest-rank percentiles, spread, jitter, and MLPerf's early-stopping estimate."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

from briges.benchmarks.rows import Distribution, EarlyStopping, Stability

PERCENTILES = "nearest rank: the smallest sample that at least p % of the samples do not exceed"
STABLE_WITHIN = 0.01
_QUARTERS = 4
_CONFIDENCE = 0.99


def percentile(samples: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile: of n samples in order, number ceil(percent * n / 100), counted from 1.

    A value that was measured, never one between two. trtexec's, sorted[n - 1 - int((1 - p / 100) * n)], can be the
    sample beside it (NVIDIA/TensorRT, samples/common/sampleReporting.cpp).
    """
    rank = -(-percent * len(samples) // 100)
    return sorted(samples)[max(rank, 1) - 1]


def summarise(samples_ms: Sequence[float]) -> Distribution:
    """Describe at least one sample, milliseconds in the order they were taken; jitter is 0 for a single one."""
    count = len(samples_ms)
    steps = [abs(later - earlier) for earlier, later in itertools.pairwise(samples_ms)]
    return Distribution(
        n=count,
        mean_ms=statistics.fmean(samples_ms),
        std_ms=statistics.stdev(samples_ms) if count > 1 else 0.0,
        min_ms=min(samples_ms),
        p50_ms=percentile(samples_ms, 50),
        p90_ms=percentile(samples_ms, 90),
        p95_ms=percentile(samples_ms, 95),
        p99_ms=percentile(samples_ms, 99),
        max_ms=max(samples_ms),
        jitter_ms=statistics.fmean(steps) if steps else 0.0,
    )


def judge_stability(samples_ms: Sequence[float]) -> Stability:
    """Whether the median has settled: in the last three quarters of the samples it differs by at most 1 %.

    The first quarter is not looked at. Quarters grow with the run, so that neither a fast nor a slow model needs its
    own window. Fewer than three samples per quarter are never stable.
    """
    size = len(samples_ms) // _QUARTERS
    if size < 3:
        return Stability(False, _QUARTERS - 1, None, STABLE_WITHIN)
    start = len(samples_ms) - (_QUARTERS - 1) * size
    medians = [
        percentile(samples_ms[start + index * size : start + (index + 1) * size], 50) for index in range(_QUARTERS - 1)
    ]
    spread = (max(medians) - min(medians)) / percentile(medians, 50)
    return Stability(spread <= STABLE_WITHIN, _QUARTERS - 1, spread, STABLE_WITHIN)


def stop_early(samples_ms: Sequence[float], percent: int = 90) -> EarlyStopping:
    """MLPerf's estimate of a percentile that so few queries can back: never too low, with a confidence of 99 %.

    Of q queries t may be slow: the largest t with P[Binomial(q, 1 - percent / 100) <= t] <= 0.01. The t - 1 slowest are
    discarded and the slowest left is the estimate; there is none below 64 queries for p90.
    Source: MLCommons, inference_policies/inference_rules.adoc, "early stopping", with a tolerance of 0.
    """
    allowed = _allowed_slow(len(samples_ms), 1 - percent / 100)
    if allowed < 1:
        return EarlyStopping(float(percent), None, None)
    return EarlyStopping(float(percent), allowed - 1, sorted(samples_ms)[len(samples_ms) - allowed])


def _allowed_slow(queries: int, share: float) -> int:
    """The largest t with P[Binomial(queries, share) <= t] <= 1 - confidence; -1 if there is none."""
    below, allowed = 0.0, -1
    for slow in range(queries + 1):
        log_ways = math.lgamma(queries + 1) - math.lgamma(slow + 1) - math.lgamma(queries - slow + 1)
        # In logarithms: the first terms of thousands of queries are smaller than any float.
        below += math.exp(log_ways + slow * math.log(share) + (queries - slow) * math.log1p(-share))
        if below > 1 - _CONFIDENCE:
            break
        allowed = slow
    return allowed
