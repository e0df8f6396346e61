"""The gate at the end of a build: what it lets through, what a failure leaves behind, and who is told of what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from support.altered_models import spoil_reference, write_toy_model
from support.build_process import hashes, hidden
from support.building import build_for_onnxruntime
from support.in_process import run_briges
from support.media import landmarks
from support.stub_bundle import write_stub_model
from support.toy_network import OVERFLOW

from briges.runtime.manifest import notices, read_manifest

FAILED = "FAILED ITS NUMERIC GATE, built with --allow-unverified: engine 56x70: "
FLAVOURS = ("onnxruntime", "tensorrt-rtx")


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A model whose depth is not what fp32 PyTorch is said to have given."""
    model = write_stub_model(tmp_path / "model")
    spoil_reference(model)
    return model


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_failed_gate_keeps_the_evidence_and_the_old_bundle_and_nothing_else(wrong, tmp_path, flavour):
    out, subject = tmp_path / "engine", "engine" if flavour == "onnxruntime" else "onnx"
    build_for_onnxruntime(write_stub_model(tmp_path / "old"), out)
    (tmp_path / "engine.log").write_text("of the old bundle")
    before = hashes(out)
    answer = run_briges("build", wrong, "--out", out, "--flavour", flavour)
    assert (answer.code, answer.out) == (1, "")
    first, expected, cure = answer.err[answer.err.index("Error: ") :].splitlines()
    assert first.startswith(f"Error: bundle {out}: failed its numeric gate: {subject} 56x70: max_relative_error ")
    assert expected == "  expected: depth of real photographs within the limits of fp32 PyTorch's"
    assert f"look at {out}-evidence" in cure
    assert hashes(out) == before
    assert (tmp_path / "engine.log").read_text() == "of the old bundle"
    assert hidden(tmp_path) == [".engine.lock"]
    evidence = tmp_path / "engine-evidence"
    names = {f"{subject}-56x70-{number}.{kind}" for number in (0, 1) for kind in ("npy", "png")}
    assert {path.name for path in evidence.iterdir()} == {"gate.json", *names}
    assert json.loads((evidence / "gate.json").read_text())["violations"]
    with Image.open(evidence / f"{subject}-56x70-0.png") as strip:
        assert strip.size == (3 * 70, 56)


def test_a_half_network_that_overflows_is_stopped_before_tensorrt_is_started(tmp_path):
    write_toy_model(tmp_path / "toy", "fp16", mlp1=OVERFLOW)
    answer = run_briges("build", tmp_path / "toy", "--out", tmp_path / "engine", "--flavour", "tensorrt-rtx")
    assert answer.code == 1
    assert "failed its numeric gate: onnx 56x70: the output has NaN or infinite values\n" in answer.err
    assert "building" not in answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [".engine.lock", "engine-evidence", "toy"]


def test_what_is_allowed_unverified_says_so_at_build_inference_and_inspection(wrong, tmp_path):
    out = tmp_path / "engine"
    built = run_briges("build", wrong, "--out", out, "--flavour", "onnxruntime", "--allow-unverified")
    assert built.code == 0
    assert f"WARNING: {FAILED}" in built.err
    assert "  numeric gate FAILED\n" in built.out
    manifest = read_manifest(out)
    assert manifest.gate is not None
    assert not manifest.gate.passed
    assert [notice.startswith(FAILED) for notice in notices(manifest)] == [True]
    again = run_briges("build", wrong, "--out", out, "--flavour", "onnxruntime", "--allow-unverified")
    assert "up to date" in again.out
    assert f"WARNING: {FAILED}" in again.err

    Image.fromarray(landmarks()).save(tmp_path / "photo.png")
    inferred = run_briges("infer", out, tmp_path / "photo.png", "--out", tmp_path / "depth")
    assert inferred.code == 0, inferred.err
    assert f"WARNING: {FAILED}" in inferred.err
    inspected = run_briges("inspect", out)
    assert "FAILED" in inspected.out
    assert "--allow-unverified" in inspected.out + inspected.err


def test_a_model_that_was_never_verified_is_built_without_a_gate_and_says_so(tmp_path):
    model = write_stub_model(tmp_path / "model")
    document = json.loads((model / "model.json").read_text())
    (model / "reference.npz").unlink()
    del document["files"]["reference.npz"]
    (model / "model.json").write_text(json.dumps(document | {"reference": None}))
    for flavour in FLAVOURS:
        out = tmp_path / flavour
        answer = run_briges("build", model, "--out", out, "--flavour", flavour)
        assert answer.code == 0, answer.err
        assert "  numeric gate: not run, the model was exported with --no-verify\n" in answer.out
        assert "WARNING: UNVERIFIED: this model was exported with --no-verify" in answer.err
        assert read_manifest(out).gate is None


def test_the_row_of_an_engine_that_cannot_run_here_says_why(tmp_path):
    model = write_stub_model(tmp_path / "model")
    run_briges("build", model, "--out", tmp_path / "rtx", "--flavour", "tensorrt-rtx")
    run_briges("build", model, "--out", tmp_path / "ort", "--flavour", "onnxruntime")
    rtx, ort = (read_manifest(tmp_path / name).gate for name in ("rtx", "ort"))
    assert rtx is not None
    assert ort is not None
    assert [(row.subject, row.agreement is None) for row in ort.rows] == [("onnx", True), ("engine", False)]
    assert ort.rows[0].skipped == "it is the engine itself"
    assert (rtx.rows[0].subject, rtx.rows[0].agreement is None) == ("onnx", False)
    assert (rtx.rows[1].agreement is None) == (rtx.rows[1].skipped is not None)
