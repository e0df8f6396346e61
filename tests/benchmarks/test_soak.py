"""Thousands of frames leave nothing behind; and what would be left behind is found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.commands import run_python

from briges.benchmarks.soak import Soak, Usage, read_usage

SCRIPT = "from briges.benchmarks.soak import main; main()"
CALM = Usage(100_000_000, 9, 5)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the figures are Linux's /proc")


def run(bundle: Path, frames: int) -> str:
    # In a process of its own: pytest's memory moves by itself.
    done = run_python(SCRIPT, bundle, "--frames", frames, "--warm-up", 200, timeout=1800)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_thousand_frames_leave_nothing_behind(tiny_bundle):
    assert run(tiny_bundle, 2000).startswith("2000 frames after 200: resident memory ")


@pytest.mark.slow
def test_twenty_thousand_frames_leave_nothing_behind(tiny_bundle):
    assert run(tiny_bundle, 20000).startswith("20000 frames after 200: resident memory ")


@pytest.mark.parametrize(
    ("after", "closed", "message"),
    [
        (Usage(102_000_000, 9, 5), CALM, "resident memory grew by 2.0 MB in 10 frames"),
        (Usage(100_000_000, 10, 5), CALM, "9 file descriptors became 10"),
        (Usage(100_000_000, 9, 6), CALM, "5 threads became 6"),
        (CALM, Usage(100_000_000, 11, 5), "2 file descriptors were left open"),
        (CALM, Usage(100_000_000, 9, 6), "1 threads were left behind"),
    ],
)
def test_what_grows_or_stays_is_said(after, closed, message):
    assert Soak(10, CALM, CALM, after, closed).problems() == [message]


def test_less_than_the_allowance_is_no_problem():
    assert Soak(10, CALM, CALM, Usage(101_999_999, 9, 5), CALM).problems() == []


def test_an_open_file_and_a_thread_are_counted(tmp_path):
    before = read_usage()
    with (tmp_path / "file").open("w"):
        assert read_usage().descriptors == before.descriptors + 1
    assert read_usage().descriptors == before.descriptors
