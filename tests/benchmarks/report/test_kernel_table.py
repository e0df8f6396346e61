"""The table of kernels: what was checked, timed and measured as a ceiling, and what went wrong."""

from __future__ import annotations

from support.result_rows import make_kernel_row

from briges.benchmarks.report.columns import ABSENT
from briges.benchmarks.report.kernel_table import kernel_columns, kernel_facts
from briges.benchmarks.report.markdown import make_tables
from briges.benchmarks.report.page import render_page

CHECK = make_kernel_row(
    what="check", subject="geometry", values={"error": 2e-4, "allowed": 1e-3}, samples_ms=(), problem="error 2e-4"
)
CEILING = make_kernel_row(what="ceiling", subject="copy GB/s", values={"copy GB/s": 2000.0}, samples_ms=())


def test_each_kind_has_its_figures_and_dashes_elsewhere():
    heads = [column.title for column in kernel_columns([make_kernel_row(), CHECK, CEILING])]
    assert heads == ["subject", "what", "error", "allowed", "median", "work per second", "ceiling"]
    lines = make_tables([make_kernel_row(), CHECK, CEILING]).splitlines()
    assert lines[2] == f"| K1 | geometry, batch 1, the plugin | time | {ABSENT} | {ABSENT} | 0.50 | 8.00 | {ABSENT} |"
    assert lines[3] == f"| K2 | geometry (error 2e-4) | check | 2.00e-04 | 1.00e-03 | {ABSENT} | {ABSENT} | {ABSENT} |"
    assert lines[4] == f"| K3 | copy GB/s | ceiling | {ABSENT} | {ABSENT} | {ABSENT} | {ABSENT} | 2000 |"


def test_columns_that_no_row_needs_are_left_out():
    assert [column.title for column in kernel_columns([CEILING])] == ["subject", "what", "ceiling"]


def test_what_changed_between_rows_has_its_first_and_last_value():
    later = make_kernel_row(environment={"device": "Example GPU", "sm_clock_mhz": "1200"})
    assert kernel_facts([make_kernel_row(), later]) == {"device": "Example GPU", "sm clock mhz": "1500 to 1200"}


def test_a_failed_check_is_told_at_the_top_of_the_page():
    page = render_page([make_kernel_row(), CHECK])
    assert "<b>Row K2</b>: check of a kernel: error 2e-4" in page
    assert "2 of kernels" in page
