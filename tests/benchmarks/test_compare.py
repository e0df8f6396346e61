"""Two runs against each other."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.in_process import run_briges
from support.result_rows import make_environment, make_latency_row, make_method, make_subject

from briges.benchmarks.compare import compare_rows
from briges.benchmarks.records import append_row
from briges.benchmarks.rows import LatencyRow, Stability
from briges.runtime.errors import ResultError


def noisy(median_ms: float, count: int = 400, seed: int = 0, **changes: Any) -> LatencyRow:
    """Latencies of a known median with 2 % of noise."""
    samples = median_ms * (1 + 0.02 * np.random.default_rng(seed).standard_normal(count))
    return make_latency_row([float(ms) for ms in samples], **changes)


def test_the_interval_holds_the_true_ratio_and_not_one() -> None:
    (found,), alone = compare_rows([noisy(10.0)], [noisy(12.0, seed=1)])
    assert found.ratio == pytest.approx(1.2, rel=0.01)
    assert 1 < found.low < 1.2 < found.high < 1.25
    assert found.is_slower(0.05)
    assert not found.is_slower(0.5)
    assert alone == []


def test_the_same_speed_is_not_slower_whatever_the_noise() -> None:
    slower = 0
    for seed in range(20):
        (found,), _ = compare_rows([noisy(10.0, seed=seed)], [noisy(10.0, seed=seed + 100)])
        slower += found.is_slower(0.0)
    assert slower <= 3


def test_an_interval_about_one_forbids_to_fail_on_few_noisy_samples() -> None:
    old, new = make_latency_row([10.0, 30.0, 10.0, 30.0, 11.0]), make_latency_row([12.0, 9.0, 31.0, 30.0, 13.0])
    (found,), _ = compare_rows([old], [new])
    assert found.ratio > 1.05
    assert found.low < 1
    assert not found.is_slower(0.05)


def test_bursts_widen_the_interval_against_single_draws() -> None:
    # The same values; in bursts of 20 they are far fewer independent ones.
    values = [10.0, 12.0] * 200
    bursts = ([10.0] * 20 + [12.0] * 20) * 10
    (spread,), _ = compare_rows([make_latency_row(values)], [make_latency_row(values)])
    (burst,), _ = compare_rows([make_latency_row(bursts)], [make_latency_row(bursts)])
    assert burst.high - burst.low > 2 * (spread.high - spread.low)


def test_measurements_are_paired_by_what_they_measured() -> None:
    big, small = make_subject(), make_subject(preset="depth-anything-v2-s")
    old = [noisy(10, subject=big), noisy(5, subject=small)]
    new = [noisy(5.5, subject=small), noisy(99, subject=make_subject(precision="fp32")), noisy(11, subject=big)]
    found, alone = compare_rows(old, new)
    assert [(pair.old.subject.preset, round(pair.ratio, 2)) for pair in found] == [
        ("briges-v2-b", 1.1),
        ("depth-anything-v2-s", 1.1),
    ]
    assert alone == ["briges-v2-b fp32 518x518, ONNX Runtime 1.31.1 CPU"]


def test_of_several_rows_of_the_same_the_last_counts() -> None:
    (found,), _ = compare_rows([noisy(50), noisy(10)], [noisy(10)])
    assert found.ratio == pytest.approx(1.0, rel=0.01)


def test_one_against_one_is_compared_and_its_differences_named() -> None:
    other = make_environment(cpu="Another CPU", versions={"numpy": "2.1.0"}, temperature_c=(40.0, 50.0))
    new = noisy(10, subject=make_subject(precision="fp32"), environment=other)
    (found,), _ = compare_rows([noisy(10)], [new])
    assert "precision: fp16 -> fp32" in found.differences
    assert "cpu: Example CPU -> Another CPU" in found.differences
    assert "numpy: 2.0.0 -> 2.1.0" in found.differences
    assert "onnxruntime: 1.31.1 -> None" in found.differences
    assert not any("temperature_c" in text for text in found.differences)


def test_runs_that_share_nothing_cannot_be_compared() -> None:
    rate = noisy(10, method=make_method(mode="fixed-rate", rate_fps=30.0))
    old, new = (
        [noisy(10), rate],
        [noisy(10, subject=make_subject(size="14x14")), noisy(1, subject=make_subject(batch=2))],
    )
    with pytest.raises(ResultError, match="nothing that both files measured: 2 and 2 measurements"):
        compare_rows(old, new)


def test_the_command_fails_only_where_it_is_surely_slower(tmp_path: Path) -> None:
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    append_row(old, noisy(10.0))
    append_row(new, noisy(11.0, environment=make_environment(cores=4)))
    fine = run_briges("bench", "compare", old, new, "--fail-if-slower", "20%")
    assert (fine.code, "1.100" in fine.out) == (0, True)
    assert "WARNING: beware: cores: 2 -> 4" in fine.err
    slow = run_briges("bench", "compare", old, new, "--fail-if-slower", "5%")
    assert slow.code == 1
    assert "1.100 times the old latency" in slow.err
    assert "at most 1.050 times, as --fail-if-slower asks" in slow.err


def test_a_measurement_that_was_lost_fails_a_comparison_that_may_fail(tmp_path: Path) -> None:
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    for row in (noisy(10.0), noisy(10.0, subject=make_subject(precision="fp32"))):
        append_row(old, row)
    append_row(new, noisy(10.0))
    assert run_briges("bench", "compare", old, new).code == 0
    lost = run_briges("bench", "compare", old, new, "--fail-if-slower", "5%")
    assert lost.code == 1
    assert "briges-v2-b fp32 518x518" in lost.err
    assert "not in" in lost.err


@pytest.mark.parametrize("samples", [[], [0.0, 0.0]])
def test_rows_without_latencies_are_refused(samples: list[float]) -> None:
    row = dataclasses.replace(noisy(10.0), samples_ms=tuple(samples))
    with pytest.raises(ResultError, match="it has no samples, or some that took no time"):
        compare_rows([noisy(10.0)], [row])


def test_a_median_that_never_settled_is_told() -> None:
    unstable = dataclasses.replace(noisy(10), stability=Stability(False, 3, 0.5, 0.01))
    (found,), _ = compare_rows([unstable], [noisy(10)])
    assert "the median of OLD never settled" in found.differences


def test_a_file_compared_with_itself_says_so(tmp_path: Path) -> None:
    file = tmp_path / "same.jsonl"
    append_row(file, noisy(10.0))
    found = run_briges("bench", "compare", file, file, "--fail-if-slower", "0.01")
    assert found.code == 0
    assert "is compared with itself: every ratio is 1" in found.err
    assert "1.000" in found.out


@pytest.mark.parametrize("share", ["fast", "-1", "nan", "1e9", "5", "100%"])
def test_a_share_that_is_none_is_a_usage_error(tmp_path: Path, share: str) -> None:
    found = run_briges("bench", "compare", tmp_path / "a", tmp_path / "b", f"--fail-if-slower={share}")
    assert found.code == 2
    assert "is no share: write 5% or 0.05" in found.err


def test_results_without_a_latency_cannot_be_compared(tmp_path: Path) -> None:
    found = run_briges("bench", "compare", tmp_path / "absent", tmp_path / "absent")
    assert found.code == 1
    assert "No such file" in found.err


def test_an_interrupted_run_is_named_as_different() -> None:
    (found,), _ = compare_rows([noisy(10)], [dataclasses.replace(noisy(10), interrupted=True)])
    assert "NEW was interrupted" in found.differences
