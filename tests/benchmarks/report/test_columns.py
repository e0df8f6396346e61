"""Cells: decimals of a column, what is absent, and what a column is sorted by."""

from __future__ import annotations

import pytest

from briges.benchmarks.report.columns import ABSENT, figure_column, parse_size, size_column


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([12.0, 4913.2], ["12.0", "4913.2"]),
        ([1.5, 12.0], ["1.50", "12.00"]),
        ([0.0004, 3.0], ["0.00", "3.00"]),
        ([150.4, 2000.0], ["150", "2000"]),
        ([0.0, 0.0], ["0", "0"]),
    ],
)
def test_all_cells_of_a_column_have_the_decimals_that_its_smallest_value_needs(values, texts):
    assert [cell.text for cell in figure_column("p50", "ms", values).cells] == texts


def test_what_is_not_known_is_a_dash_and_has_no_order():
    cell = figure_column("device memory", "MB", [None, 1.0]).cells[0]
    assert (cell.text, cell.order) == (ABSENT, None)


def test_a_column_is_empty_when_nothing_in_it_is_known():
    assert figure_column("device memory", "MB", [None, None]).empty
    assert not figure_column("device memory", "MB", [None, 1.0]).empty


def test_sizes_are_sorted_by_their_pixels_and_foreign_ones_last():
    assert [cell.order for cell in size_column(["518x518", "70x700", "large"]).cells] == [268324.0, 49000.0, None]


@pytest.mark.parametrize("text", ["", "518", "518x", "x518", "518 x 518", "0x5", "-5x5", "9999999x1", "518x518x3"])
def test_a_size_of_another_form_is_none(text):
    assert parse_size(text) is None


def test_a_size_is_height_and_width():
    assert parse_size("518x686") == (518, 686)
