"""Engines with the attention plugin, built for real: counted, recorded, embedded, and native where it cannot be."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.attention_graph import attention_graph
from support.building import SILENT
from support.in_process import run_briges
from support.manifests import edit_json

from briges.engines import attention_choice, network
from briges.engines.attention_choice import Choice
from briges.engines.build import build_bundle
from briges.engines.compare import Row, compare, recommend
from briges.engines.job import PlanJob, PluginFile
from briges.engines.lowering import attention_nodes, lowered
from briges.engines.onnx_graph import load_graph
from briges.engines.onnx_run import open_graph
from briges.engines.plugin.record import LIBRARY_FILE
from briges.engines.request import BuildRequest
from briges.engines.spec import EngineSpec
from briges.engines.worker import build_plan
from briges.runtime import contracts, toolchain
from briges.runtime.errors import BackendError, BuildError, BundleError, UsageError
from briges.runtime.files import sha256_of
from briges.runtime.manifest import read_manifest
from briges.runtime.photographs import photograph_feeds
from briges.runtime.sidecar import read_model

RTX = ("--flavour", "tensorrt-rtx")


@pytest.fixture
def request_of(plugin_folder: Path) -> BuildRequest:
    return BuildRequest(EngineSpec("tensorrt-rtx"), plugin_folder=plugin_folder)


@pytest.fixture(scope="module")
def bundle(typed_tiny: Path, plugin_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plugin") / "engine"
    build_bundle(typed_tiny, out, BuildRequest(EngineSpec("tensorrt-rtx"), plugin_folder=plugin_folder), SILENT)
    return out


def test_the_bundle_carries_the_library_and_says_what_it_is(bundle, plugin_folder):
    manifest = read_manifest(bundle)
    assert manifest.attention.lowering == "plugin"
    plugin = manifest.attention.plugin
    assert plugin is not None
    record = json.loads((plugin_folder / "plugin.json").read_text())
    assert manifest.files[plugin.file].sha256 == record["files"][LIBRARY_FILE] == sha256_of(bundle / plugin.file)
    assert (plugin.version, plugin.triton) == ("1", record["triton"])
    assert plugin.tensorrt_headers == record["tensorrt_headers"]
    assert {"8.6", "8.7", "8.9"} <= set(plugin.compute_capabilities)
    assert manifest.options.embed_plugin is False


def test_a_library_that_was_exchanged_is_noticed_before_it_is_loaded(bundle, tmp_path):
    copy = tmp_path / "engine"
    shutil.copytree(bundle, copy)
    with (copy / LIBRARY_FILE).open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(BundleError, match=f"{LIBRARY_FILE} has sha256"):
        read_manifest(copy)


@pytest.mark.parametrize("attention", [{"lowering": "native"}, {"plugin": None}])
def test_a_manifest_that_contradicts_itself_is_damaged(bundle, tmp_path, attention):
    copy = tmp_path / "engine"
    shutil.copytree(bundle, copy)
    document = json.loads((copy / "manifest.json").read_text())
    edit_json(copy / "manifest.json", attention=document["attention"] | attention)
    with pytest.raises(BundleError, match="there is no plugin, or the other way round"):
        read_manifest(copy)


def test_an_embedded_library_is_in_the_engine(bundle, typed_tiny, tmp_path, request_of):
    spec = EngineSpec("tensorrt-rtx", embed_plugin=True)
    out = tmp_path / "engine"
    manifest = build_bundle(typed_tiny, out, dataclasses.replace(request_of, spec=spec), SILENT).manifest
    assert manifest.options.embed_plugin
    library = (bundle / LIBRARY_FILE).stat().st_size
    larger = (out / "model.plan").stat().st_size - (bundle / "model.plan").stat().st_size
    assert 0.9 * library < larger < 1.1 * library
    with pytest.raises(UsageError, match="--embed-plugin: for native attention"):
        build_bundle(typed_tiny, out, dataclasses.replace(request_of, spec=spec, attention="native"), SILENT)


# What was asked for is what is built


def plan_job(model: Path, folder: Path, plugin_folder: Path, layers: int) -> PlanJob:
    library = plugin_folder / LIBRARY_FILE
    plugin = PluginFile(str(library), sha256_of(library))
    return PlanJob(str(model / "model.onnx"), str(folder / "plan"), EngineSpec("tensorrt-rtx"), plugin, layers)


def test_another_number_of_plugin_layers_than_expected_is_an_error(typed_tiny, plugin_folder, tmp_path):
    job = plan_job(typed_tiny, tmp_path, plugin_folder, 15)
    with pytest.raises(BuildError, match="its network has 14 layers of the attention plugin") as caught:
        build_plan(job, tmp_path / "log", lambda *step: None)
    assert caught.value.expected == "15, one for each attention node of the graph"
    assert not (tmp_path / "plan").exists()


def test_a_definition_that_takes_the_plugins_place_is_noticed(plugin_folder, tmp_path):
    """The graph still has its function here, and the library is not loaded: the parser then takes that, silently."""
    onnx.save(attention_graph(), tmp_path / "model.onnx")
    job = dataclasses.replace(plan_job(tmp_path, tmp_path, plugin_folder, 1), plugin=None)
    with pytest.raises(BuildError, match="its network has 0 layers of the attention plugin"):
        build_plan(job, tmp_path / "log", lambda *step: None)


def test_without_definitions_a_missing_plugin_is_an_error_of_the_parser(typed_tiny, tmp_path, request_of, monkeypatch):
    monkeypatch.setattr(network, "_require_plugin_layers", lambda layers, job: None)
    monkeypatch.setattr(
        "briges.engines.assembly.PlanJob", lambda *arguments: PlanJob(*arguments[:3], None, arguments[4])
    )
    with pytest.raises(BuildError, match="TensorRT has no operator and no plugin named TemperatureScaledAttention"):
        build_bundle(typed_tiny, tmp_path / "engine", request_of, SILENT)


def test_a_library_that_changed_since_it_was_recorded_is_not_loaded(typed_tiny, plugin_folder, tmp_path):
    job = plan_job(typed_tiny, tmp_path, plugin_folder, 14)
    assert job.plugin is not None
    other = dataclasses.replace(job.plugin, sha256="0" * 64)
    with pytest.raises(BackendError, match="recorded was 000000000000"):
        build_plan(dataclasses.replace(job, plugin=other), tmp_path / "log", lambda *step: None)


def test_a_repaired_attention_is_native_and_the_others_stay(typed_tiny, tmp_path, request_of, monkeypatch):
    part = "gates.2.self_block.attn"
    monkeypatch.setattr("briges.engines.build._Build._parts_to_repair", lambda self, checks: (part,))
    request = dataclasses.replace(request_of, repair="fp32")
    manifest = build_bundle(typed_tiny, tmp_path / "engine", request, SILENT).manifest
    assert manifest.repair is not None
    assert manifest.repair.parts == (part,)
    assert manifest.engines[0].plugin_layers == manifest.engines[0].layers["PLUGIN_V3"] == 13
    assert manifest.engines[0].layers["SOFTMAX"] == 1
    assert manifest.gate is not None
    assert manifest.gate.passed


# On ONNX Runtime


def test_onnx_runtime_runs_the_very_same_file_to_a_millionth_of_the_plain_form(tiny_model):
    graph = load_graph(tiny_model / "model.onnx")
    assert len(attention_nodes(graph)) == 14
    spec = read_model(tiny_model)
    feed = photograph_feeds(spec, spec.graphs[0])[0]
    written_out = lowered(graph, "plain", lambda _: True)
    ours, plain = (
        open_graph(model, tiny_model, literal=False)(feed)[contracts.DEPTH] for model in (graph, written_out)
    )
    assert np.ptp(plain) > 0.1
    assert np.abs(ours - plain).max() <= 1e-6 * np.abs(plain).max()


# Where there is no compiler


def test_without_a_compiler_the_command_builds_a_native_engine_and_says_so(typed_tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)
    out = tmp_path / "engine"
    options = ("--plugin", tmp_path / "nothing")
    answer = run_briges("build", typed_tiny, "--out", out, *RTX, *options)
    assert answer.code == 0, answer.err
    assert "WARNING: NATIVE ATTENTION, not the plugin's. a C++17 compiler: no g++ in PATH" in answer.err
    assert "  attention: native\n" in answer.out
    manifest = read_manifest(out)
    assert (manifest.attention.lowering, manifest.attention.plugin) == ("native", None)
    assert manifest.attention.fell_back == "a C++17 compiler: no g++ in PATH"
    assert "the plugin could not be had: a C++17 compiler" in " ".join(run_briges("inspect", out).out.split())
    refused = run_briges("build", typed_tiny, "--out", out, *RTX, *options, "--attention", "plugin")
    assert refused.code == 1
    assert "cure: install g++" in refused.err
    assert read_manifest(out) == manifest, "the bundle that was there is still there"


def test_a_build_that_fell_back_is_made_again_once_the_plugin_can_be_had(typed_tiny, tmp_path, request_of, monkeypatch):
    out = tmp_path / "engine"
    with monkeypatch.context() as patch:
        patch.setattr("briges.engines.build.choose_attention", lambda *a: Choice("native", fell_back="no compiler"))
        assert build_bundle(typed_tiny, out, request_of, SILENT).manifest.attention.lowering == "native"
        assert build_bundle(typed_tiny, out, request_of, SILENT).up_to_date
    again = build_bundle(typed_tiny, out, request_of, SILENT)
    assert (again.up_to_date, again.manifest.attention.lowering) == (False, "plugin")


# Comparing


def test_compare_builds_all_three_and_recommends_by_memory_where_nothing_can_be_timed(typed_tiny, tmp_path):
    out = tmp_path / "forms"
    answer = run_briges("build", typed_tiny, "--out", out, *RTX, "--attention", "compare")
    assert answer.code == 0, answer.err
    forms = ("plain", "native", "plugin")
    manifests = [read_manifest(out / form) for form in forms]
    assert [manifest.attention.lowering for manifest in manifests] == list(forms)
    lines = answer.out.splitlines()
    for form, manifest, line in zip(forms, manifests, lines[1:4], strict=True):
        engine = manifest.engines[0]
        memory, size = engine.activation_bytes / 1e6, manifest.files[engine.file].size_bytes / 1e6
        assert line.split() == [form, f"{memory:.1f}", "MB", f"{size:.1f}", "MB", "-", str(out / form)]
    assert lines[4].startswith("not timed: no NVIDIA GPU")
    assert lines[5] == f"take {out / 'plugin'} (plugin): least activation memory; nothing was timed"


def test_compare_tells_why_there_is_no_plugin(typed_tiny, tmp_path, request_of, monkeypatch):
    monkeypatch.setattr(attention_choice, "library_version", lambda flavour: "1.6.0")
    found = compare(typed_tiny, tmp_path / "forms", request_of, SILENT)
    plain, native, plugin = (row.problem for row in found.rows)
    assert plain is native is None
    assert str(plugin).startswith(
        "the attention plugin: TensorRT-RTX 1.6.0 has no plugin layers; use --attention native"
    )
    assert found.recommended.lowering == "native", "of equals not the plain one"


@pytest.mark.parametrize(("model", "flavour"), [("typed_tiny", "onnxruntime"), ("native_typed_tiny", "tensorrt-rtx")])
def test_compare_needs_an_open_model_and_a_planner_of_memory(request, tmp_path, model, flavour):
    folder = request.getfixturevalue(model)
    answer = run_briges("build", folder, "--out", tmp_path / "forms", "--flavour", flavour, "--attention", "compare")
    assert answer.code == 2
    assert "--attention compare" in answer.err
    assert not (tmp_path / "forms").exists()


def row(lowering: str, memory: int, latency_ms: float | None, problem: str | None = None) -> Row:
    return Row(lowering, Path(lowering), memory, 1, latency_ms, problem)


@pytest.mark.parametrize(
    ("latencies", "best", "why"),
    [
        ((9.0, 5.0, 4.0), "plugin", "fastest here"),
        ((9.0, 4.0, 5.0), "native", "fastest here"),
        ((9.0, 4.0, 4.05), "plugin", "as fast as any here, in least memory"),
        ((None, None, None), "plugin", "least activation memory; nothing was timed"),
    ],
)
def test_the_fastest_is_recommended_and_of_equals_the_smallest(latencies, best, why):
    rows = [
        row(form, memory, ms)
        for form, memory, ms in zip(("plain", "native", "plugin"), (480, 120, 80), latencies, strict=True)
    ]
    chosen, reason = recommend(rows)
    assert (chosen.lowering, reason) == (best, why)
    rows[2] = row("plugin", 80, None, "no compiler")
    assert recommend(rows)[0].lowering == "native"
