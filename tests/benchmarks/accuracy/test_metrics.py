"""Metrics against figures worked out by hand, and against loops of Python's own arithmetic."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from briges.benchmarks.accuracy.metrics import HIGHER_IS_BETTER, WITH_UNIT, depth_metrics


def test_two_pixels_have_the_metrics_worked_out_by_hand() -> None:
    found = depth_metrics(np.array([2.0, 4.0]), np.array([1.0, 4.0]))
    assert found == pytest.approx(
        {
            "abs_rel": 0.5,  # (1/1 + 0) / 2
            "sq_rel": 0.5,
            "rmse_m": math.sqrt(0.5),
            "rmse_log": math.log(2) / math.sqrt(2),
            "log10": 0.1505149978,  # log10(2) / 2
            "irmse_per_km": 353.5533906,  # 1000 sqrt(0.5^2 / 2)
            "silog": 34.6573590,  # 100 ln(2) / 2
            "delta1": 0.5,
            "delta2": 0.5,
            "delta3": 0.5,  # 2 is above 1.953125
        }
    )


def test_metrics_agree_with_loops_over_pixels() -> None:
    generator = np.random.default_rng(0)
    truth = generator.uniform(0.5, 60, 400)
    depth = truth * np.exp(generator.normal(0.05, 0.3, 400))
    pairs = list(zip(depth.tolist(), truth.tolist(), strict=True))
    logs = [math.log(p / g) for p, g in pairs]
    expected = {
        "abs_rel": statistics.fmean(abs(p / g - 1) for p, g in pairs),
        "sq_rel": statistics.fmean((p - g) ** 2 / g for p, g in pairs),
        "rmse_m": math.dist(depth.tolist(), truth.tolist()) / math.sqrt(len(pairs)),
        "rmse_log": math.sqrt(statistics.fmean(value**2 for value in logs)),
        "log10": statistics.fmean(abs(math.log10(p) - math.log10(g)) for p, g in pairs),
        "irmse_per_km": math.sqrt(statistics.fmean((1000 / p - 1000 / g) ** 2 for p, g in pairs)),
        "silog": 100 * math.sqrt(statistics.fmean(value**2 for value in logs) - statistics.fmean(logs) ** 2),
    }
    for power in (1, 2, 3):
        inside = [max(p / g, g / p) < 1.25**power for p, g in pairs]
        expected[f"delta{power}"] = sum(inside) / len(inside)
    assert depth_metrics(depth, truth) == pytest.approx(expected, rel=1e-12)


def test_a_ratio_of_exactly_1_25_is_outside_the_first_threshold() -> None:
    found = depth_metrics(np.array([1.25, 1.0, 1.2]), np.array([1.0, 1.25, 1.0]))
    assert found["delta1"] == pytest.approx(1 / 3)
    assert found["delta2"] == 1


def test_silog_does_not_see_a_common_scale_and_is_never_the_root_of_something_negative() -> None:
    truth = np.array([0.1, 0.3, 7.0])
    assert depth_metrics(3 * truth, truth)["silog"] == pytest.approx(0, abs=1e-10)


def test_perfect_depth_has_no_error() -> None:
    truth = np.array([0.7, 3.0, 80.0])
    found = depth_metrics(truth, truth)
    assert {name for name, value in found.items() if value == 1} == {"delta1", "delta2", "delta3"}
    assert sum(found.values()) == 3


def test_what_is_said_about_metrics_is_said_of_ones_that_exist() -> None:
    names = depth_metrics(np.ones(1), np.ones(1)).keys()
    assert names >= WITH_UNIT
    assert names & HIGHER_IS_BETTER == {"delta1", "delta2", "delta3"}
