"""Percentiles, stability and early stopping come out as computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from briges.benchmarks.distribution import judge_stability, percentile, stop_early, summarise

ONE_TO_HUNDRED = [float(number) for number in range(100, 0, -1)]


@pytest.mark.parametrize(("percent", "expected"), [(50, 50.0), (90, 90.0), (95, 95.0), (99, 99.0), (100, 100.0)])
def test_percentiles_of_one_to_hundred_are_themselves(percent: int, expected: float) -> None:
    assert percentile(ONE_TO_HUNDRED, percent) == expected


def test_a_percentile_of_few_samples_is_one_of_them() -> None:
    # ceil(0.5 * 4) = 2, ceil(0.9 * 4) = 4: never a value between two.
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 90) == 4.0
    assert percentile([7.0], 99) == 7.0


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300), st.sampled_from([50, 90, 95, 99]))
def test_percentiles_are_those_of_numpys_inverted_cdf(samples: list[float], percent: int) -> None:
    assert percentile(samples, percent) == np.percentile(samples, percent, method="inverted_cdf")


def test_a_summary_of_four_samples_is_as_computed_by_hand() -> None:
    found = summarise([10.0, 14.0, 12.0, 12.0])
    assert (found.n, found.mean_ms, found.min_ms, found.max_ms) == (4, 12.0, 10.0, 14.0)
    assert found.std_ms == pytest.approx((8 / 3) ** 0.5)
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == (12.0, 14.0, 14.0)
    assert found.jitter_ms == pytest.approx((4 + 2 + 0) / 3)


def test_one_sample_has_no_spread_and_no_jitter() -> None:
    found = summarise([3.0])
    assert (found.std_ms, found.jitter_ms, found.p50_ms) == (0.0, 0.0, 3.0)


def test_a_run_that_warmed_up_in_its_first_quarter_is_stable() -> None:
    found = judge_stability([50.0] * 5 + [10.0] * 15)
    assert found.stable
    assert (found.windows, found.spread) == (3, 0.0)


def test_a_run_that_gets_slower_is_not_stable() -> None:
    # Medians of the last three quarters: 10.0, 10.1, 10.3.
    found = judge_stability([9.0] * 3 + [10.0] * 3 + [10.1] * 3 + [10.3] * 3)
    assert not found.stable
    assert found.spread == pytest.approx(0.3 / 10.1)


def test_a_difference_of_one_percent_is_still_stable() -> None:
    assert judge_stability([5.0] * 3 + [100.0] * 3 + [100.5] * 3 + [101.0] * 3).stable
    assert not judge_stability([5.0] * 3 + [100.0] * 3 + [100.5] * 3 + [101.1] * 3).stable


def test_fewer_than_three_samples_a_quarter_say_nothing() -> None:
    found = judge_stability([10.0] * 11)
    assert not found.stable
    assert found.spread is None


@pytest.mark.parametrize(
    ("percent", "queries", "discarded"),
    [(90, 63, None), (90, 64, 0), (90, 1000, 77), (90, 10_000, 929), (99, 661, None), (99, 662, 0)],
)
def test_early_stopping_discards_as_many_as_the_rule_allows(percent: int, queries: int, discarded: int | None) -> None:
    assert stop_early([1.0] * queries, percent).discarded == discarded


@pytest.mark.parametrize(("queries", "allowed"), [(1000, 2), (10_000, 77)])
def test_early_stopping_of_p99(queries: int, allowed: int) -> None:
    assert stop_early([1.0] * queries, 99).discarded == allowed - 1


def test_the_estimate_is_the_slowest_left() -> None:
    # Of 64 queries one may be slow: nothing is discarded, and the slowest is the estimate.
    samples = [float(number) for number in range(1, 65)]
    assert stop_early(samples).estimate_ms == 64.0
    # Of 1000, 77 are discarded.
    samples = [float(number) for number in range(1, 1001)]
    assert stop_early(samples).estimate_ms == 1000.0 - 77
    assert stop_early(samples[:10]).estimate_ms is None
