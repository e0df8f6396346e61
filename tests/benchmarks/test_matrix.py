"""A matrix of measurements: what fails does not stop it, and a second run measures what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.in_process import run_briges
from support.result_rows import make_latency_row, make_method

from briges.benchmarks.matrix import _tidied, run_matrix
from briges.benchmarks.matrix_spec import Case, read_matrix
from briges.benchmarks.records import latency_rows, read_rows
from briges.benchmarks.rows import LatencyRow, UnmeasuredRow
from briges.runtime.errors import UsageError

SPEC = """
presets: [briges-tiny]
sizes: [127x126, 126x126]   # the first is no multiple of 14
precisions: [fp32]
latency: {duration-s: 0.05, warmup-s: 0, min-iterations: 3}
"""


def write_spec(folder: Path, text: str = SPEC) -> Path:
    (folder / "matrix.yaml").write_text(text)
    return folder / "matrix.yaml"


def test_every_combination_is_a_case_and_pytorch_has_one_form_of_attention(tmp_path: Path) -> None:
    text = """
presets: [briges-tiny, depth-anything-v2-s]
sizes: [126x126, 126x168]
attention: [native, plain]
backends: [onnxruntime, torch-eager]
batches: [1, 2]
"""
    cases = list(read_matrix(write_spec(tmp_path, text)).cases())
    assert len(cases) == 2 * 2 * 2 * (2 + 1)
    assert len({case.name for case in cases}) == len(cases)
    settings = cases[0].settings
    assert cases[0] == Case("briges-tiny", "126x126", "fp16", "native", 1, "onnxruntime", settings)
    assert cases[0].name == f"briges-tiny_126x126_fp16_native_batch1_onnxruntime_{settings}"


def test_other_options_are_other_measurements_and_flags_have_no_value(tmp_path: Path) -> None:
    plain = read_matrix(write_spec(tmp_path, "presets: [briges-tiny]"))
    text = "presets: [briges-tiny]\nlatency: {no-cuda-graph: true, lock-clocks: false, warmup-s: 0, json: null}"
    other = read_matrix(write_spec(tmp_path, text))
    assert other.latency == {"no-cuda-graph": "", "warmup-s": "0"}
    assert next(plain.cases()).name != next(other.cases()).name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a list", "the file is no mapping"),
        ("presets: [briges-tiny]\nspeed: [1]", "unknown field 'speed'"),
        ("precisions: [fp16]", "field 'presets' is missing"),
        ("presets: [briges-tiny]\nprecisions: [fp8]", "precisions"),
        ("presets: []", "presets is empty"),
        ("presets: [briges-tiny]\nsizes: [large]", "sizes: 'large' is not HEIGHTxWIDTH"),
        ("presets: [briges-tiny]\nbatches: [0]", "batches: 0 is below 1"),
        ("presets: [briges-tiny]\nlatency: {durations: 5}", "latency: 'durations' is no option"),
        ("presets: [briges-tiny\n", "while parsing a flow sequence"),
        ("presets: [briges-tiny]\nbackends: [jax]", "backends"),
        ("presets: briges-tiny", "presets: came 'briges-tiny', expected a list"),
    ],
)
def test_a_file_that_is_no_matrix_is_a_usage_error(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        read_matrix(write_spec(tmp_path, text))


def test_an_unknown_preset_is_named_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'briges-tiny'"):
        read_matrix(write_spec(tmp_path, "presets: [briges-tini]"))
    with pytest.raises(UsageError, match="No such file"):
        read_matrix(tmp_path / "absent.yaml")


def test_a_matrix_goes_on_after_failures_and_a_second_run_measures_what_is_missing(tmp_path: Path) -> None:
    spec, out = write_spec(tmp_path), tmp_path / "results"
    first = run_briges("bench", "matrix", spec, "--out", out)
    assert first.code == 1
    assert "1 of 2 cases were not measured" in first.err
    bad, fine = (out / f"{case.name}.jsonl" for case in read_matrix(spec).cases())
    assert f"{bad.stem}: NOT MEASURED: briges export: " in first.out
    assert f"{fine.stem}: measured" in first.out
    assert latency_rows(read_rows([fine]))[0].subject.engine == "onnxruntime"
    (row,) = read_rows([bad])
    assert isinstance(row, UnmeasuredRow)
    assert row.case["size"] == "127x126"
    assert "127" in row.reason

    # What was measured is kept, what was not is tried again.
    steps: list[str] = []
    outcomes = list(run_matrix(read_matrix(spec), out, steps.append))
    assert [(outcome.reused, outcome.reason is None) for outcome in outcomes] == [(False, False), (True, True)]
    assert steps == [f"1 of 2: {bad.stem}"]

    # A crash left half a result, and somebody altered the bundle: it is built again, and nothing wrong is timed.
    fine.write_bytes(fine.read_bytes()[:-20])
    bundle = out / "bundles" / "briges-tiny_126x126_fp32_native_batch1_onnxruntime"
    (bundle / "model.onnx.data").write_bytes(b"altered")
    outcomes = list(run_matrix(read_matrix(spec), out, lambda step: None))
    assert (outcomes[1].reused, outcomes[1].reason) == (False, None)
    assert len(latency_rows(read_rows([fine]))) == 1


def test_the_command_in_a_row_names_no_folder_that_is_gone(tmp_path: Path) -> None:
    row = make_latency_row(method=make_method(command=f"briges bench latency x --json {tmp_path}/case.jsonl"))
    tidied = _tidied(row, str(tmp_path))
    assert isinstance(tidied, LatencyRow)
    assert tidied.method.command == "briges bench latency x --json case.jsonl"
