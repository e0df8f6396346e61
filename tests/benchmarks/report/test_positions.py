"""Where rows stand: accuracy against latency, and work per second; what is not known is left out, not guessed."""

from __future__ import annotations

import re

import pytest
from support.result_rows import make_accuracy_row, make_estimate_row, make_latency_row, make_method, make_subject

from briges.benchmarks.report.entries import make_report
from briges.benchmarks.report.positions import accuracy_chart, work_chart


def rate(chart: object) -> float:
    (found,) = re.findall(r"([0-9.]+) GFLOP/s at the median", str(chart))
    return float(found)


def test_the_work_of_a_request_is_that_of_all_its_images():
    one = work_chart(make_report([make_latency_row()]))
    four = work_chart(make_report([make_latency_row(method=make_method(images=4))]))
    assert rate(four) == pytest.approx(4 * rate(one), rel=1e-3)


@pytest.mark.parametrize("changes", [{"preset": "unheard-of"}, {"size": "large"}, {"semantic_interval": 4}])
def test_rows_whose_work_is_not_known_are_left_out(changes):
    assert work_chart(make_report([make_latency_row(subject=make_subject(**changes))])) is None


def test_an_estimate_whose_semantic_encoder_rests_is_left_out():
    assert work_chart(make_report([make_estimate_row(semantic_interval=4)])) is None


def test_an_estimate_is_hollow_and_called_one():
    chart = str(work_chart(make_report([make_estimate_row()])))
    assert "ESTIMATE briges-v2-b fp16 518x518, orin-agx-64" in chart
    assert chart.count('class="hollow"') == 2  # its swatch and its range
    assert not re.search(r'class="c[1-8]', chart)


def test_accuracy_is_drawn_for_rows_of_the_same_bundle_alone():
    assert accuracy_chart(make_report([make_latency_row()]).latency) is None
    chart = str(accuracy_chart(make_report([make_latency_row(), make_accuracy_row()]).latency))
    assert "AbsRel 0.0600 (0.0500 to 0.0700) on folder rooms" in chart
    assert chart.count("<circle") == 1
