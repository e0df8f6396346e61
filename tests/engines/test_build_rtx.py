"""Bundles of TensorRT-RTX, built for real from a real export: their manifest, their log, their parts and sizes."""

from __future__ import annotations

import importlib.metadata
import json
import re
from datetime import datetime, timezone
from pathlib import Path

import pytest
import tensorrt_rtx
from support.build_process import hashes, left_in
from support.building import SILENT
from support.in_process import Answer, run_briges
from support.stub_bundle import write_stub_model
from support.tiny_graphs import COMPLETED

from briges.engines.build import build_bundle
from briges.engines.request import BuildRequest
from briges.engines.spec import EngineSpec
from briges.engines.watcher import Watcher
from briges.runtime import DepthEstimator, contracts
from briges.runtime.errors import BrigesError
from briges.runtime.files import sha256_of
from briges.runtime.manifest import Manifest, read_manifest
from briges.runtime.sidecar import read_model

TWO = ("8.6", "8.9")
RTX = ("--flavour", "tensorrt-rtx")


@pytest.fixture(scope="module")
def built(typed_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    """One engine of the fp16 model for two GPUs, with what the command said."""
    out = tmp_path_factory.mktemp("rtx") / "engine"
    targets = [word for capability in TWO for word in ("--compute-capability", capability)]
    answer = run_briges("build", typed_tiny, "--out", out, *RTX, *targets, "--optimization-level", "1")
    assert answer.code == 0, answer.err
    return out, answer


@pytest.fixture(scope="module")
def manifest(built: tuple[Path, Answer]) -> Manifest:
    return read_manifest(built[0])


def test_the_manifest_tells_what_was_built_from_what(manifest, typed_tiny):
    model = read_model(typed_tiny)
    assert manifest.model == model
    assert (model.preset, model.precision, model.attention.lowering) == ("briges-tiny", "fp16", "plugin")
    assert {decision.dtype for decision in model.decisions} == {"fp16", "fp32"}
    assert all(decision.largest is not None for decision in model.decisions if decision.dtype == "fp16")
    assert (model.temperature.mode, model.temperature.cross) == ("folded", 1.0)
    assert [graph.size for graph in model.graphs] == ["126x126"]
    assert model.weights.random_seed == 7
    (engine,) = manifest.engines
    assert engine.onnx_sha256 != model.files[contracts.MODEL_FILE], (
        "TensorRT is given no definition of the plugin's node"
    )
    assert [(t.name, t.dtype, t.shape) for t in (*engine.inputs, *engine.outputs)] == [
        ("image", "uint8", (1, 126, 126, 3)),
        ("semantic_image", "uint8", (1, 256, 256, 3)),
        ("depth", "float32", (1, 1, 126, 126)),
    ]


def test_the_manifest_tells_how_and_for_what(manifest):
    assert (manifest.flavour, manifest.flavour_version) == ("tensorrt-rtx", tensorrt_rtx.__version__)
    options = manifest.options
    assert options.compute_capabilities == TWO
    assert (options.optimization_level, options.workspace_bytes, options.split) == (1, None, False)
    assert (options.hardware_compatible, options.version_compatible, options.strip_weights) == (False, False, False)
    assert manifest.host.platform.startswith("Linux")
    assert manifest.tool_version == importlib.metadata.version("briges-trt")
    age = datetime.now(timezone.utc) - datetime.fromisoformat(manifest.built_at)
    assert 0 <= age.total_seconds() + 1 < 600


def test_the_manifest_tells_what_the_engine_costs(built, manifest):
    (engine,) = manifest.engines
    plan, file = built[0] / engine.file, manifest.files[engine.file]
    assert (file.sha256, file.size_bytes) == (sha256_of(plan), plan.stat().st_size)
    log = built[0].with_name("engine.log").read_text()
    assert f"Total Activation Memory: {engine.activation_bytes} bytes" in log
    assert f"Total Weights Memory: {engine.weights_bytes} bytes" in log
    assert 0.5 * file.size_bytes < engine.weights_bytes < file.size_bytes
    attentions = 4 + 2 + 2 * 4  # encoder blocks, and cross and self of four gates
    assert engine.plugin_layers == engine.layers["PLUGIN_V3"] == attentions
    assert "SOFTMAX" not in engine.layers
    assert sum(engine.layers.values()) > 400
    assert 0 < engine.build_s < 120


def test_the_manifest_has_the_verdict_of_the_gate(manifest):
    assert manifest.gate is not None
    assert manifest.gate.passed
    onnx, engine = manifest.gate.rows
    assert (onnx.subject, onnx.size, onnx.skipped) == ("onnx", "126x126", None)
    assert onnx.agreement is not None
    assert onnx.agreement.photographs == 2
    assert (engine.subject, engine.agreement is None) == ("engine", engine.skipped is not None)
    assert manifest.repair is None


def test_the_command_says_what_it_built(built):
    out, answer = built
    lines = answer.out.splitlines()
    version = tensorrt_rtx.__version__
    assert lines[0] == f"{out}: built. briges-tiny 126x126 fp16 for tensorrt-rtx {version}, compute capability 8.6, 8.9"
    assert re.fullmatch(r"  3 files, \d+\.\d MB", lines[1])
    costs = r"  model\.plan: \d+\.\d MB, activations \d+\.\d MB, 14 plugin layers, built in \d+\.\d s"
    assert re.fullmatch(costs, lines[2])
    assert re.fullmatch(r"  attention: plugin, libbriges_attention\.so \d+\.\d MB", lines[3])
    assert lines[4] == "  numeric gate passed"
    assert lines[-1] == f"  TensorRT's log: {out}.log"
    assert "WARNING: RANDOM WEIGHTS (seed 7)" in answer.err
    assert "building model with tensorrt-rtx …\n" in answer.err
    inspected = run_briges("inspect", out)
    assert inspected.code == 0
    for told in ("8.6, 8.9", "briges-tiny", "model.plan", "SHUFFLE", "14 layers by libbriges_attention.so"):
        assert told in inspected.out


def test_this_release_does_not_run_it_and_says_so(built):
    with pytest.raises(BrigesError, match=r"(?s)cure: .*--flavour onnxruntime"):
        DepthEstimator(built[0])


def test_progress_comes_from_tensorrt_itself(tmp_path):
    steps: list[str] = []
    seen: list[tuple[str, int, int]] = []
    watcher = Watcher(steps.append, lambda *progress: seen.append(progress))
    request = BuildRequest(EngineSpec("tensorrt-rtx"), log_file=tmp_path / "logs" / "deep" / "build.log")
    built = build_bundle(write_stub_model(tmp_path / "model"), tmp_path / "engine", request, watcher)
    assert steps[0] == "verifying the model"
    assert steps[-1] == "building model with tensorrt-rtx"
    assert {"reading the graph", "Building engine", "saving the plan"} <= {phase for phase, _, _ in seen}
    assert all(0 <= done <= total for _, done, total in seen)
    assert built.log_file == tmp_path / "logs" / "deep" / "build.log"
    assert COMPLETED in built.log_file.read_text()
    assert not (tmp_path / "engine.log").exists()


def test_a_log_file_of_ones_own_starts_anew_and_a_device_stays_one(tmp_path):
    model = write_stub_model(tmp_path / "model")
    log = tmp_path / "mine.log"
    log.write_text("2026-01-01 12:00:00.000 INFO of yesterday\n")
    answer = run_briges("build", model, "--out", tmp_path / "engine", *RTX, "--log-file", log)
    assert f"  TensorRT's log: {log}\n" in answer.out
    assert log.read_text().count(COMPLETED) == 1
    assert "of yesterday" not in log.read_text()
    (tmp_path / "null").symlink_to("/dev/null")
    silent = run_briges("build", model, "--out", tmp_path / "engine", *RTX, "--force", "--log-file", tmp_path / "null")
    assert silent.code == 0, silent.err
    assert Path("/dev/null").is_char_device()


def test_one_bundle_holds_an_engine_for_every_size(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    folder = write_stub_model(tmp_path / "model", sizes=((56, 70), (70, 56)), dynamic_temperature=True)
    build_bundle(folder, tmp_path / "engine", BuildRequest(EngineSpec("tensorrt-rtx")), SILENT)
    manifest, model = read_manifest(tmp_path / "engine"), read_model(folder)
    assert [(engine.size, engine.file) for engine in manifest.engines] == [
        ("56x70", "model-56x70.plan"),
        ("70x56", "model-70x56.plan"),
    ]
    for engine in manifest.engines:
        assert engine.onnx_sha256 == model.files[f"model-{engine.size}.onnx"]
        assert [tensor.name for tensor in engine.inputs] == ["image", "temperature"]
        assert engine.outputs[0].shape == (1, 1, *map(int, (engine.size or "").split("x")))
    assert manifest.gate is not None
    assert [(row.subject, row.size) for row in manifest.gate.rows] == [
        ("onnx", "56x70"),
        ("onnx", "70x56"),
        ("engine", "56x70"),
        ("engine", "70x56"),
    ]
    assert (tmp_path / "engine.log").read_text().count(COMPLETED) == 2
    assert left_in(tmp_path / "temporary") == []
    assert run_briges("inspect", tmp_path / "engine").code == 0


def test_split_builds_three_plans_that_fit_together(typed_tiny, tmp_path):
    before, changed = hashes(typed_tiny), typed_tiny.stat().st_mtime_ns
    answer = run_briges("build", typed_tiny, "--out", tmp_path / "engine", *RTX, "--split")
    assert answer.code == 0, answer.err
    assert (hashes(typed_tiny), typed_tiny.stat().st_mtime_ns) == (before, changed)  # the parts were made elsewhere
    manifest = read_manifest(tmp_path / "engine")
    assert [engine.file for engine in manifest.engines] == ["geometry.plan", "semantic.plan", "fusion.plan"]
    geometry, semantic, fusion = manifest.engines
    assert fusion.inputs == (*geometry.outputs, *semantic.outputs)
    assert {tensor.dtype for tensor in fusion.inputs} == {"float16"}
    assert fusion.outputs[0].dtype == "float32"
    assert all(engine.layers and engine.activation_bytes and engine.weights_bytes for engine in manifest.engines)
    steps = [line for line in answer.err.splitlines() if line.startswith("building")]
    assert steps == [f"building {part} with tensorrt-rtx …" for part in ("geometry", "semantic", "fusion")]
    assert "5 files, " in answer.out
    assert [engine.plugin_layers for engine in manifest.engines] == [4, 2, 8]
    document = json.loads((tmp_path / "engine" / "manifest.json").read_text())
    assert document["options"]["split"] is True
