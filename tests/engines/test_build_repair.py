"""`briges build --repair`: a network that half precision breaks becomes a bundle that passes, and its price is told."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import onnx
import pytest
from support.altered_models import change_graph, plant_overflow, spoil_reference, write_toy_model
from support.build_process import hashes, hidden
from support.building import build_for_onnxruntime
from support.in_process import run_briges
from support.stub_bundle import write_stub_model
from support.toy_network import ABSORPTION, OVERFLOW

from briges.runtime.manifest import read_manifest

RTX = ("--flavour", "tensorrt-rtx")


def test_a_real_export_with_an_overflow_is_repaired(typed_tiny, tmp_path):
    model, out = tmp_path / "model", tmp_path / "engine"
    shutil.copytree(typed_tiny, model)
    change_graph(model, lambda graph: plant_overflow(graph, "gates.2.self_block.mlp.fc2"))
    before = hashes(model)
    answer = run_briges("build", model, "--out", out, *RTX, "--repair")
    assert answer.code == 0, answer.err
    manifest = read_manifest(out)
    assert manifest.gate is not None
    assert manifest.gate.passed
    repair, (engine,) = manifest.repair, manifest.engines
    assert repair is not None
    assert (repair.parts, repair.dtype) == (("gates.2.self_block.mlp",), "fp32")
    assert repair.engine_bytes_after == manifest.files[engine.file].size_bytes
    assert repair.activation_bytes_after == engine.activation_bytes
    # Its weights are in float32 now: 2 * 384 * 1536 of them in two bytes more each.
    assert repair.engine_bytes_after - repair.engine_bytes_before == pytest.approx(2 * 384 * 1536 * 2, rel=0.5)
    megabytes = [value / 1e6 for value in (repair.engine_bytes_before, repair.engine_bytes_after)]
    costs = "engines {:.1f} -> {:.1f} MB, activations ".format(*megabytes)
    assert f"\n  repaired with gates.2.self_block.mlp in fp32: {costs}" in answer.out
    assert hashes(model) == before
    assert hidden(tmp_path) == [".engine.lock"]
    assert "gates.2.self_block.mlp" in run_briges("inspect", out).out
    assert "up to date" in run_briges("build", model, "--out", out, *RTX, "--repair").out


def test_a_head_in_bf16_keeps_its_transposed_convolutions_in_half_and_builds(typed_tiny, tmp_path):
    model, out = tmp_path / "model", tmp_path / "engine"
    shutil.copytree(typed_tiny, model)
    change_graph(model, lambda graph: plant_overflow(graph, "head.scratch.layer4_rn"))
    answer = run_briges("build", model, "--out", out, *RTX, "--repair", "bf16")
    assert answer.code == 0, answer.err
    repair = read_manifest(out).repair
    assert repair is not None
    assert (repair.parts, repair.dtype) == (("head",), "bf16")


def test_bf16_repairs_what_is_too_large_for_half(tmp_path):
    write_toy_model(tmp_path / "toy", "fp16", mlp1=OVERFLOW)
    answer = run_briges("build", tmp_path / "toy", "--out", tmp_path / "engine", *RTX, "--repair", "bf16")
    assert answer.code == 0, answer.err
    repair = read_manifest(tmp_path / "engine").repair
    assert repair is not None
    assert (repair.parts, repair.dtype) == (("geometry.blocks.1.mlp",), "bf16")
    costs = r"engines \d\.\d -> \d\.\d MB, activations \d\.\d -> \d\.\d MB\n"
    assert re.search(rf"\n  repaired with geometry\.blocks\.1\.mlp in bf16: {costs}", answer.out)
    # Both builds are in one log: what it cost can be looked up.
    assert (tmp_path / "engine.log").read_text().count("Total Activation Memory") == 2


def test_a_model_that_passes_is_not_repaired(tmp_path):
    write_toy_model(tmp_path / "toy", "fp16")
    answer = run_briges("build", tmp_path / "toy", "--out", tmp_path / "engine", *RTX, "--repair")
    assert answer.code == 0, answer.err
    assert "repaired" not in answer.out
    assert read_manifest(tmp_path / "engine").repair is None


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_model_in_fp32_cannot_be_repaired_and_that_is_told_at_once(tmp_path, dtype):
    model = write_stub_model(tmp_path / "model")
    spoil_reference(model)
    answer = run_briges("build", model, "--out", tmp_path / "engine", *RTX, "--repair", dtype)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.endswith(
        f"Error: --repair: {dtype} for a model exported in fp32\n"
        "  expected: a wider precision than the model's own\n"
        "  cure: repair with fp32; a model that fails in fp32 must be exported again\n"
    )
    assert "checking" not in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


HOPELESS = {
    "fp32": "with every part in fp32 the gate still fails: relative_l2 ",
    "bf16": "with every part in bf16 the gate still fails: ",
}


@pytest.mark.parametrize("dtype", HOPELESS)
def test_what_no_precision_mends_is_hopeless_and_keeps_the_evidence(tmp_path, dtype):
    write_toy_model(tmp_path / "toy", "fp16", mlp1=ABSORPTION)
    if dtype == "fp32":
        spoil_reference(tmp_path / "toy")
    out = tmp_path / "engine"
    build_for_onnxruntime(write_stub_model(tmp_path / "old"), out)
    before = hashes(out)
    answer = run_briges("build", tmp_path / "toy", "--out", out, *RTX, "--repair", dtype)
    assert (answer.code, answer.out) == (1, "")
    assert f"Error: repair of {tmp_path}/toy: {HOPELESS[dtype]}" in answer.err
    advice = {"fp32": "export the model again; if that changes nothing, report it", "bf16": "repair with fp32"}[dtype]
    assert answer.err.endswith(f"  cure: look at {out}-evidence; {advice}\n")
    assert (tmp_path / "engine-evidence" / "onnx-56x70-1.png").exists()
    assert hashes(out) == before
    assert hidden(tmp_path) == [".engine.lock"]


def test_for_onnx_runtime_the_graph_changes_and_the_weights_stay_as_they_are(tmp_path):
    spec = write_toy_model(tmp_path / "toy", "fp16", attn0=OVERFLOW)
    manifest = build_for_onnxruntime(tmp_path / "toy", tmp_path / "engine", repair="fp32")
    repair = manifest.repair
    assert repair is not None
    assert repair.parts == ("geometry.blocks.0.attn",)
    assert (repair.activation_bytes_before, repair.activation_bytes_after) == (None, None)
    assert repair.engine_bytes_before < repair.engine_bytes_after == manifest.files["model.onnx"].size_bytes
    assert manifest.files["model.onnx.data"].sha256 == spec.files["model.onnx.data"]
    assert manifest.engines[0].onnx_sha256 != spec.files["model.onnx"]
    onnx.checker.check_model(str(tmp_path / "engine" / "model.onnx"), full_check=True)
    assert manifest.model == spec  # what was exported; ``repair`` tells the rest


def test_a_build_stopped_between_its_two_engines_leaves_neither(tmp_path, monkeypatch):
    # The engine built only for comparison lies in the half-made bundle, and goes with it.
    write_toy_model(tmp_path / "toy", "fp16", mlp1=OVERFLOW)
    seen: list[Path] = []

    def stop(path: Path) -> str:
        seen.extend(path.parent.glob("*"))
        raise KeyboardInterrupt

    monkeypatch.setattr("briges.engines.build.sha256_of", stop)
    answer = run_briges("build", tmp_path / "toy", "--out", tmp_path / "engine", *RTX, "--repair")
    assert answer.code == 1
    assert sorted(path.name for path in seen) == ["model.plan", "reference.npz"]
    assert hidden(tmp_path) == [".engine.lock"]
    assert not (tmp_path / "engine").exists()
