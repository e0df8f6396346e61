"""Means and their intervals, against what statistics expects of them."""

from __future__ import annotations

import numpy as np
import pytest

from briges.benchmarks.accuracy.bootstrap import interval, means_of
from briges.benchmarks.accuracy.rows import ImageScore, Interval


def _score(name: str, **metrics: float) -> ImageScore:
    return ImageScore(name, metrics, None, None, None if metrics else "dark")


def test_the_mean_is_over_images_that_were_not_skipped() -> None:
    means = means_of([_score("a", abs_rel=0.1), _score("b"), _score("c", abs_rel=0.3)])
    assert means["abs_rel"].mean == pytest.approx(0.2)
    assert means["abs_rel"].low == pytest.approx(0.1)
    assert means["abs_rel"].high == pytest.approx(0.3)


def test_the_interval_is_about_that_of_a_normal_mean() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    found = interval(values.tolist(), [1.0] * 400)
    half = 1.96 * values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_the_same_values_always_have_the_same_interval() -> None:
    assert interval([1.0, 2.0, 5.0], [1.0] * 3) == interval([1.0, 2.0, 5.0], [1.0] * 3)


def test_one_image_has_an_interval_of_no_width() -> None:
    assert interval([0.25], [1.0]) == Interval(0.25, 0.25, 0.25)


def test_every_pair_counts_the_same_and_pairs_are_no_metric() -> None:
    means = means_of([_score("a", pair_accuracy=1.0, pairs=1.0), _score("b", pair_accuracy=0.5, pairs=8.0)])
    assert means.keys() == {"pair_accuracy"}
    assert means["pair_accuracy"].mean == pytest.approx(5 / 9)
    assert (means["pair_accuracy"].low, means["pair_accuracy"].high) == (0.5, 1.0)


def test_a_metric_that_some_images_lack_is_averaged_over_the_others() -> None:
    means = means_of([_score("a", abs_rel=0.1, aligned_abs_rel=0.5), _score("b", abs_rel=0.3)])
    assert means["aligned_abs_rel"].mean == 0.5
    assert means["abs_rel"].mean == pytest.approx(0.2)
