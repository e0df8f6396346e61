"""Fewer points, the same extremes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from briges.benchmarks.report.downsample import Span, counts, extremes


def test_each_span_has_its_start_its_median_and_its_extremes():
    spans = extremes([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 1.0, 3.0, 9.0, 7.0, 8.0], 2)
    assert spans == [Span(0.0, 3.0, 1.0, 5.0), Span(3.0, 8.0, 7.0, 9.0)]


def test_few_samples_are_all_kept():
    assert extremes([0.0, 1.0], [5.0, 6.0], 100) == [Span(0.0, 5.0, 5.0, 5.0), Span(1.0, 6.0, 6.0, 6.0)]


def test_one_slow_request_among_100000_is_still_seen():
    values = [10.0] * 100_000
    values[77_777] = 500.0
    spans = extremes([float(at) for at in range(len(values))], values, 200)
    assert len(spans) == 200
    assert max(span.high for span in spans) == 500.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(1, 50))
def test_no_extreme_is_lost_and_no_span_is_too_many(values, most):
    spans = extremes([float(at) for at in range(len(values))], values, most)
    assert len(spans) <= most
    assert min(span.low for span in spans) == min(values)
    assert max(span.high for span in spans) == max(values)


def test_counts_are_of_the_parts_between_edges():
    assert counts([1.0, 1.5, 2.5, 4.0], [1.0, 2.0, 3.0, 4.0]) == [2, 1, 1]
