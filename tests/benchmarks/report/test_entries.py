"""Rows told apart and put together: tags, colours, accuracy of the same bundle, environments, reasons to doubt."""

from __future__ import annotations

import pytest
from support.result_rows import (
    make_accuracy_row,
    make_environment,
    make_estimate_row,
    make_latency_row,
    make_method,
    make_subject,
    make_unmeasured_row,
)

from briges.benchmarks.report.entries import COLOURS, make_report
from briges.benchmarks.rows import Check, FixedRate, Stability
from briges.runtime.agreement import LIMITS, Agreement


def test_subjects_are_numbered_and_rows_of_one_subject_lettered():
    other = make_subject(preset="briges-tiny")
    rows = [make_latency_row(), make_latency_row(subject=other), make_latency_row(measured_at="later")]
    entries = make_report(rows).latency
    assert [(entry.tag, entry.colour) for entry in entries] == [("1a", 1), ("2", 2), ("1b", 1)]


def test_colours_start_again_after_the_last():
    rows = [make_latency_row(subject=make_subject(batch=batch)) for batch in range(1, COLOURS + 2)]
    assert make_report(rows).latency[-1].colour == 1


def test_more_rows_of_a_subject_than_letters_have_tags_of_two():
    entries = make_report([make_latency_row(measured_at=str(at)) for at in range(28)]).latency
    assert [entries[at].tag for at in (0, 25, 26, 27)] == ["1a", "1z", "1aa", "1ab"]


def test_a_row_given_twice_is_shown_once_and_counted():
    report = make_report([make_latency_row(), make_accuracy_row(), make_latency_row()])
    assert (len(report.latency), len(report.accuracy), report.repeated) == (1, 1, 1)


def test_accuracy_stands_beside_latency_of_the_same_bundle_alone():
    scored = make_accuracy_row()
    report = make_report([make_latency_row(), scored])
    assert report.latency[0].accuracy == (scored,)
    assert report.accuracy[0].colour == report.latency[0].colour


@pytest.mark.parametrize(
    "changes",
    [{"manifest_sha256": "cd" * 32}, {"size": "518x686"}, {"temperature": 3.0}, {"semantic_interval": 4}],
)
def test_accuracy_of_another_bundle_or_another_way_to_run_it_does_not(changes):
    report = make_report([make_latency_row(), make_accuracy_row(subject=make_subject(**changes))])
    assert report.latency[0].accuracy == ()


def test_what_has_no_bundle_has_no_accuracy():
    subject = make_subject(manifest_sha256=None)
    report = make_report([make_latency_row(subject=subject), make_accuracy_row(subject=subject)])
    assert report.latency[0].accuracy == ()


def test_clocks_and_temperatures_do_not_make_another_environment():
    warm = make_environment(clocks="CPU 1.9 GHz, not locked", temperature_c=(40.0, 60.0))
    report = make_report([make_latency_row(), make_latency_row(environment=warm)])
    assert len(report.places) == 1
    assert report.places[0].clocks == ("CPU 2.0 GHz, not locked", "CPU 1.9 GHz, not locked")


def test_another_driver_makes_another_environment():
    rows = [make_latency_row(), make_latency_row(environment=make_environment(driver="570.1")), make_unmeasured_row()]
    report = make_report(rows)
    assert [place.tags for place in report.places] == [("1a",), ("1b",)]
    assert [entry.environment for entry in report.latency] == [1, 2]


def test_estimates_are_tagged_apart_and_have_no_environment():
    report = make_report([make_estimate_row(), make_estimate_row(device="thor")])
    assert [tag for tag, _ in report.estimates] == ["E1", "E2"]
    assert report.places == ()


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"interrupted": True}, "interrupted: fewer samples than were asked for"),
        ({"stability": Stability(False, 5, 0.031, 0.01)}, "unstable median: windows 3.1% apart, 1.0% allowed"),
        ({"stability": Stability(False, 1, None, 0.01)}, "unstable median: too few windows to tell"),
        (
            {"fixed_rate": FixedRate(300, 7, 2), "method": make_method(mode="fixed-rate", rate_fps=30.0)},
            "missed 7 of 300 deadlines at 30 fps",
        ),
        ({"check": Check(None, None, "no gate")}, "output not compared: no gate"),
        (
            {"check": Check(Agreement(0.5, 0.2, 0.9999, 0.01, 8), LIMITS["fp16"], None)},
            "output too far from the reference: relative_l2 2.00e-01, at most 1e-02 allowed",
        ),
    ],
)
def test_what_makes_figures_doubtful_is_said_in_words(changes, flag):
    assert make_report([make_latency_row(**changes)]).latency[0].flags == (flag,)


def test_a_sound_row_has_no_flag_and_a_camera_that_missed_nothing_neither():
    rows = [make_latency_row(fixed_rate=FixedRate(300, 0, 1))]
    assert make_report(rows).latency[0].flags == ()
