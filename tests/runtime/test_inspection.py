from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from support.in_process import run_briges
from support.manifests import (
    GOOD,
    RTX_4090,
    machine,
    manifest,
    model,
    options,
    write_bundle,
    write_model_folder,
)

from briges.runtime.agreement import LIMITS, Agreement
from briges.runtime.gpu import read_driver
from briges.runtime.inspection import describe_bundle
from briges.runtime.manifest import Gate, GateRow, Manifest, Repair, read_manifest
from briges.runtime.sidecar import AttentionForm, Decision, Gates, Temperature, Weights, read_model

RTX = "1.7.1.116"
TARGETS = options(compute_capabilities=("8.6", "8.9"))


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep lines whole, so that what is looked for is not cut."""
    monkeypatch.setenv("COLUMNS", "200")


def section(made: Manifest, title: str, *, all_decisions: bool = False) -> tuple[tuple[str, ...], ...]:
    """The rows of the section whose title begins so."""
    found = describe_bundle(made, machine(RTX, RTX_4090), all_decisions=all_decisions)
    (rows,) = [item.rows for item in found if item.title.startswith(title)]
    return rows


def test_a_bundle_is_shown_with_all_that_matters(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "engine", manifest("tensorrt-rtx", RTX, options=TARGETS))

    answer = run_briges("inspect", bundle)

    assert answer.code == 0
    assert answer.err == ""
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    for expected in (
        "runs on TensorRT-RTX 1.7.1.116",
        "compute capabilities 8.6, 8.9",
        "built on Linux x86_64, NVIDIA GeForce RTX 4090, driver for CUDA 13.0",
        "built 2026-01-01T00:00:00+00:00 by briges-trt 0.1.0",
        "preset briges-tiny",
        "sizes 56x70",
        "semantic size 64x64",
        "precision fp16",
        "temperature folded: cross 3, self 1",
        "checkpoint gates.pth, sha256 abababababab",
        "12 fp32 111 LayerNorm",
        "12 fp16 41.5 half is enough",
        "model 56x70 0.0 2.0 3.0 model.engine",
        "Numeric gate against PyTorch fp32: passed as far as it could run",
        "engine 56x70 skipped: no GPU",
        "Files, 0.0 MB: every one matches its sha256",
    ):
        assert expected in lines
    sha256 = read_manifest(bundle).files["model.engine"].sha256
    assert f"{sha256[:12]} 0.0 model.engine" in lines


def test_the_gate_shows_how_much_of_each_limit_is_used() -> None:
    onnx, engine = section(manifest("tensorrt-rtx", RTX), "Numeric gate")

    assert "relative L2 1.0e-03 (10% of 1e-02 allowed)" in onnx[2]
    assert "aligned deviation 1.0e-02 (20% of 5e-02 allowed)" in onnx[2]
    assert engine == ("engine", "56x70", "skipped: no GPU")


def test_only_a_gate_that_ran_whole_has_passed() -> None:
    rows = (GateRow("onnx", "56x70", GOOD, None), GateRow("engine", "56x70", GOOD, None))
    titles = [
        item.title
        for item in describe_bundle(
            manifest("tensorrt-rtx", RTX, gate=Gate(LIMITS["fp16"], rows, ())), machine(RTX), all_decisions=False
        )
    ]

    assert "Numeric gate against PyTorch fp32: passed" in titles


NOT_FINITE = "engine 56x70: the output has NaN or infinite values"


def test_a_failed_gate_shows_what_was_violated_and_warns(tmp_path: Path) -> None:
    nan = Agreement(None, None, None, None, 2)
    gate = Gate(LIMITS["fp16"], (GateRow("engine", "56x70", nan, None),), (NOT_FINITE,))
    made = manifest("tensorrt-rtx", RTX, gate=gate)

    answer = run_briges("inspect", write_bundle(tmp_path / "engine", made))

    assert "Numeric gate against PyTorch fp32: FAILED" in answer.out
    assert section(made, "Violations") == (("-", NOT_FINITE),)
    assert section(made, "Numeric gate") == (("engine", "56x70", "not finite"),)
    assert f"WARNING: FAILED ITS NUMERIC GATE, built with --allow-unverified: {NOT_FINITE}" in answer.err


def test_a_bundle_without_a_gate_says_why() -> None:
    made = manifest("tensorrt-rtx", RTX, gate=None, model=model(reference=None))

    assert section(made, "Numeric gate") == (("none", "the model has no reference"),)


def test_random_weights_are_a_warning_and_a_row(tmp_path: Path) -> None:
    random = Weights((), 7, "none", "none: random weights")

    answer = run_briges(
        "inspect", write_bundle(tmp_path / "b", manifest("onnxruntime", "1", model=model(weights=random)))
    )

    assert "WARNING: RANDOM WEIGHTS (seed 7)" in answer.err
    assert "RANDOM, seed 7" in answer.out


def test_the_whole_precision_table_is_shown_on_request(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "engine", manifest("tensorrt-rtx", RTX))

    brief, full = run_briges("inspect", bundle).out, run_briges("inspect", bundle, "--decisions").out

    assert "geometry.blocks.7.norm1" not in brief
    assert "--decisions lists every part" in brief
    lines = [line.split() for line in full.splitlines()]
    assert ["geometry.blocks.7.norm1", "fp32", "107", "LayerNorm"] in lines
    assert len([line for line in lines if line[:1] and line[0].startswith("geometry.blocks.")]) == 24


def test_reasons_that_differ_in_a_number_are_one_row() -> None:
    decisions = (
        Decision("a", "fp16", 20.0, "0.03% of 6.55e+04"),
        Decision("b", "fp16", 900.0, "1.37% of 6.55e+04"),
        Decision("c", "fp32", None, "rule"),
    )

    assert section(manifest("tensorrt-rtx", RTX, model=model(decisions=decisions)), "Precision") == (
        ("2", "fp16", "900", "at most 1.37% of 6.55e+04"),
        ("1", "fp32", "-", "rule"),
    )


def test_only_the_most_frequent_layer_types_are_listed() -> None:
    ((_, total, kinds),) = section(manifest("tensorrt-rtx", RTX), "Layers")

    assert total == "155"
    assert kinds.startswith("20 KIND_0, 19 KIND_1, ")
    assert kinds.endswith("13 KIND_7")


def test_a_repair_shows_what_it_cost() -> None:
    repair = Repair(("geometry.blocks.3", "fusion.0"), "fp32", 10_000_000, 12_500_000, 5_000_000, None)

    assert section(manifest("tensorrt-rtx", RTX, repair=repair), "Repair") == (
        ("now fp32", "geometry.blocks.3, fusion.0"),
        ("engines", "10.0 -> 12.5 MB"),
        ("activations", "5.0 -> - MB"),
    )


def test_the_options_of_the_build_are_named() -> None:
    made = manifest("tensorrt", "10.13.3.9", options=options(version_compatible=True, workspace_bytes=1 << 20))

    assert ("options", "version-compatible, workspace-bytes 1048576") in section(made, "Bundle")
    assert ("options", "defaults") in section(manifest("tensorrt-rtx", RTX), "Bundle")


@pytest.mark.parametrize(
    ("temperature", "text"),
    [
        (Temperature("none", 1.0, 1.0, ()), "none: no gates"),
        (Temperature("dynamic", 1.0, 1.0, ()), "dynamic: an input of the engine"),
        (
            Temperature("folded", 3.0, 1.5, ((1.1, 0.9),) * 4),
            "folded: cross 3, self 1.5; 4 learned pairs folded as well",
        ),
    ],
)
def test_the_temperature_is_put_into_words(temperature: Temperature, text: str) -> None:
    made = manifest("tensorrt-rtx", RTX, model=model(temperature=temperature))

    assert ("temperature", text) in section(made, "Bundle")


def test_attention_without_relative_positions_has_none_to_tell() -> None:
    plain = model(attention=AttentionForm("plain", None, None, None, 0.0), gates=None)
    both = model(attention=AttentionForm("native", None, "channels", "bias", 1.25), gates=Gates(6, "conv"))

    rows = section(manifest("tensorrt-rtx", RTX, model=plain), "Bundle")
    assert ("exported attention", "plain") in rows
    assert "gates" not in [name for name, _ in rows]
    rows = section(manifest("tensorrt-rtx", RTX, model=both), "Bundle")
    expected = "native, relative positions as channels in windows and bias in global blocks, 1.2 GFLOP more than with a"
    assert ("exported attention", f"{expected} bias matrix") in rows
    assert ("gates", "6 heads, aligner conv") in rows


# Whether it runs here.


def test_a_bundle_that_runs_here_says_on_what(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    bundle = write_bundle(tmp_path / "engine", manifest("onnxruntime", "1.20.0"))

    lines = [" ".join(line.split()) for line in run_briges("inspect", bundle).out.splitlines()]

    assert lines[-2:] == ["On this machine", f"yes ONNX Runtime {onnxruntime.__version__}"]


@pytest.mark.skipif(bool(read_driver().devices), reason="there is a GPU here")
def test_a_bundle_that_cannot_run_here_says_why_and_what_to_do(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "engine", manifest("tensorrt-rtx", RTX, options=TARGETS))

    answer = run_briges("inspect", bundle)

    assert answer.code == 0
    assert "no NVIDIA GPU can be used here" in answer.out
    assert "expected: a GPU of compute capability 8.6 or 8.9, and its driver" in answer.out
    assert "`briges build MODEL_DIR --out BUNDLE --flavour onnxruntime`" in answer.out


def test_an_engine_that_fits_says_what_runs_it() -> None:
    assert section(manifest("tensorrt-rtx", RTX), "On this machine") == (("yes", f"TensorRT-RTX {RTX}"),)


# Model folders, JSON, and what is no bundle.


def test_a_model_folder_is_shown_too(tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "model", model())

    answer = run_briges("inspect", folder)

    assert answer.code == 0
    lines = [" ".join(line.split()) for line in answer.out.splitlines()]
    assert "preset briges-tiny" in lines
    assert any(line.startswith("56x70 model.onnx relative L2 1.0e-03 (10%") for line in lines)
    assert "12 fp32 111 LayerNorm" in lines
    assert "runs on" not in answer.out


def test_a_model_that_was_not_checked_says_so(tmp_path: Path) -> None:
    graph = dataclasses.replace(model().graphs[0], agreement=None)
    folder = write_model_folder(tmp_path / "model", model(reference=None, graphs=(graph,), files={"model.onnx": ""}))

    answer = run_briges("inspect", folder)

    assert "not checked" in answer.out
    assert "WARNING: UNVERIFIED" in answer.err


def test_json_is_the_manifest_itself(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "engine", manifest("tensorrt-rtx", RTX))
    folder = write_model_folder(tmp_path / "model", model())

    assert json.loads(run_briges("inspect", bundle, "--json").out) == json.loads((bundle / "manifest.json").read_text())
    assert json.loads(run_briges("inspect", folder, "--json").out) == json.loads((folder / "model.json").read_text())
    assert read_model(folder).preset == "briges-tiny"


@pytest.mark.parametrize("json_option", [(), ("--json",)])
def test_an_altered_file_is_refused_before_anything_is_shown(tmp_path: Path, json_option: tuple[str, ...]) -> None:
    bundle = write_bundle(tmp_path / "engine", manifest("tensorrt-rtx", RTX))
    (bundle / "model.engine").write_bytes(b"something else")

    answer = run_briges("inspect", bundle, *json_option)

    assert answer.code == 1
    assert answer.out == ""
    assert "model.engine has sha256" in answer.err


@pytest.mark.parametrize(("made", "came"), [(True, "has no manifest.json"), (False, "does not exist")])
def test_a_folder_that_is_neither_is_refused(tmp_path: Path, made: bool, came: str) -> None:
    folder = tmp_path / "nothing"
    if made:
        folder.mkdir()

    answer = run_briges("inspect", folder)

    assert answer.code == 1
    assert f"bundle {folder}: {came}" in answer.err
