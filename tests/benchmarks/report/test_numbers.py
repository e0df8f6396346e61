"""Numbers as people write them."""

from __future__ import annotations

import pytest

from briges.benchmarks.report.numbers import plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (12.0, "12"),
        (12.3456, "12.35"),
        (0.0004812, "0.0004812"),
        (11735.8, "11736"),
        (100000.0, "100000"),
        (-2.5, "-2.5"),
        (1e-30, "0"),
    ],
)
def test_four_digits_and_never_an_exponent(value, text):
    assert plain(value) == text


def test_fewer_digits_keep_what_is_before_the_point():
    assert plain(1234.6, 2) == "1235"
