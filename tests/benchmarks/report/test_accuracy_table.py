"""The table of accuracy: names of metrics, digits, images that were skipped."""

from __future__ import annotations

import pytest
from support.result_rows import make_accuracy_row

from briges.benchmarks.accuracy.rows import Interval
from briges.benchmarks.report.accuracy_table import accuracy_columns, metric_title
from briges.benchmarks.report.columns import ABSENT, Cell, Column
from briges.benchmarks.report.entries import make_report


def columns(*means: dict[str, Interval]) -> dict[str, Column]:
    rows = [make_accuracy_row(means=each, measured_at=str(at)) for at, each in enumerate(means)]
    return {column.title: column for column in accuracy_columns(make_report(rows).accuracy)}


@pytest.mark.parametrize(
    ("name", "title"), [("abs_rel", "AbsRel"), ("delta1", "δ1"), ("pair_accuracy", "pair accuracy")]
)
def test_metrics_have_the_names_people_know(name, title):
    assert metric_title(name) == title


def test_small_values_keep_three_digits():
    cells = columns({"relative_l2": Interval(0.000481, 0.0, 0.0123456)})["relative L2"].cells
    assert cells == (Cell("0.000481", 0.000481, "0.0000 to 0.0123"),)


def test_rows_of_other_metrics_have_a_dash():
    found = columns({"abs_rel": Interval(0.1, 0.1, 0.1)}, {"pair_accuracy": Interval(0.9, 0.8, 1.0)})
    assert [cell.text for cell in found["AbsRel"].cells] == ["0.1000", ABSENT]
    assert [cell.text for cell in found["pair accuracy"].cells] == [ABSENT, "0.9000"]


def test_skipped_images_and_an_interruption_stand_below_the_number_of_images():
    (column,) = [
        one
        for one in accuracy_columns(make_report([make_accuracy_row(interrupted=True)]).accuracy)
        if one.title == "images"
    ]
    assert column.cells == (Cell("2", 2, "1 skipped, INTERRUPTED", bad=True),)
