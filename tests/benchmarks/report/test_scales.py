"""Axes: where values lie, when they are logarithmic, and that ticks are round and inside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from briges.benchmarks.report.scales import Scale, scale_over


def test_a_linear_scale_maps_its_ends_and_its_middle():
    scale = Scale(10.0, 20.0, 100.0, 200.0, log=False)
    assert [scale(10.0), scale(15.0), scale(20.0)] == [100.0, 150.0, 200.0]


def test_a_logarithmic_scale_has_the_geometric_mean_in_the_middle():
    scale = Scale(1.0, 100.0, 0.0, 10.0, log=True)
    assert scale(10.0) == pytest.approx(5.0)


def test_an_axis_upwards_ends_at_the_smaller_coordinate():
    assert Scale(0.0, 1.0, 80.0, 20.0, log=False)(1.0) == 20.0


def test_what_is_outside_lies_at_the_nearer_end():
    scale = Scale(1.0, 100.0, 0.0, 10.0, log=True)
    assert (scale(-5.0), scale(1000.0)) == (0.0, 10.0)


@pytest.mark.parametrize(("high", "log"), [(20.0, False), (20.1, True)])
def test_values_that_span_more_than_a_factor_of_20_are_logarithmic(high, log):
    assert scale_over([1.0, high], 0, 1).log is log


def test_bars_start_at_zero_and_are_never_logarithmic():
    scale = scale_over([1.0, 1000.0], 0, 1, from_zero=True)
    assert (scale.low, scale.high, scale.log) == (0.0, 1000.0, False)


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [0.0], [-3.0]])
@pytest.mark.parametrize("from_zero", [False, True])
def test_a_single_value_has_an_axis_too(values, from_zero):
    scale = scale_over(values, 0, 10, from_zero=from_zero)
    assert scale.low < scale.high
    assert scale.ticks()


def test_linear_ticks_are_multiples_of_1_2_or_5():
    assert Scale(9.6, 20.4, 0, 1, log=False).ticks() == [10.0, 15.0, 20.0]
    assert Scale(0.0, 100.0, 0, 1, log=False).ticks() == [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]


def test_logarithmic_ticks_thin_out_over_many_decades():
    assert Scale(1.0, 100.0, 0, 1, log=True).ticks() == [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
    assert len(Scale(1e-6, 1e12, 0, 1, log=True).ticks()) <= 7


@given(st.lists(st.floats(1e-3, 1e7), min_size=1, max_size=8))
def test_every_value_has_a_place_and_every_tick_is_on_the_axis(values):
    scale = scale_over(values, 4.0, 436.0)
    assert all(4.0 <= scale(value) <= 436.0 for value in values)
    assert all(scale.low * 0.998 <= tick <= scale.high * 1.002 for tick in scale.ticks())
