"""What is up to date is not built again, and everything else is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from support.altered_models import spoil_reference, write_toy_model
from support.building import SILENT
from support.in_process import run_briges
from support.manifests import edit_json
from support.stub_bundle import write_stub_model

from briges.engines.attention_choice import Choice, Library
from briges.engines.build import build_bundle
from briges.engines.plugin.record import LIBRARY_FILE, read_plugin
from briges.engines.request import BuildRequest, check_request, request_key
from briges.engines.spec import EngineSpec
from briges.runtime.errors import BundleError, GateError, UsageError
from briges.runtime.manifest import read_manifest
from briges.runtime.sidecar import read_model

ORT = BuildRequest(EngineSpec("onnxruntime"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_stub_model(tmp_path / "model")


@pytest.fixture
def out(model: Path, tmp_path: Path) -> Path:
    """A bundle of ``model`` for ONNX Runtime."""
    build_bundle(model, tmp_path / "engine", ORT, SILENT)
    return tmp_path / "engine"


def written(out: Path) -> dict[str, int]:
    """When each file was written, in nanoseconds, and which folder it is: the clock's step may be too long to tell."""
    return {path.name: path.stat().st_mtime_ns for path in out.iterdir()} | {"folder": out.stat().st_ino}


def is_up_to_date(model: Path, out: Path, request: BuildRequest = ORT) -> bool:
    """Build, and compare what it says with what it did."""
    before = written(out)
    said = build_bundle(model, out, request, SILENT).up_to_date
    assert (written(out) == before) == said
    assert read_manifest(out)
    return said


def test_the_same_build_again_touches_nothing_and_says_so(model, out):
    before = written(out)
    answer = run_briges("build", model, "--out", out, "--flavour", "onnxruntime")
    assert answer.code == 0
    assert answer.out.startswith(f"{out}: up to date. stub 56x70 fp32 for onnxruntime ")
    assert answer.err == "verifying the model …\n"
    assert written(out) == before


def test_a_tensorrt_engine_is_not_built_again_either(model, tmp_path):
    out, request = tmp_path / "rtx", BuildRequest(EngineSpec("tensorrt-rtx"))
    build_bundle(model, out, request, SILENT)
    (tmp_path / "rtx.log").write_text("of the build that made it")
    assert is_up_to_date(model, out, request)
    assert (tmp_path / "rtx.log").read_text() == "of the build that made it"


def test_force_builds_what_is_up_to_date(model, out):
    assert not is_up_to_date(model, out, dataclasses.replace(ORT, force=True))


def test_a_model_moved_elsewhere_is_the_same(model, out, tmp_path):
    model.rename(tmp_path / "moved")
    assert is_up_to_date(tmp_path / "moved", out)


def test_another_model_is_built(out, tmp_path):
    assert not is_up_to_date(write_stub_model(tmp_path / "other", batch=2), out)


def test_another_flavour_is_built(model, out):
    assert not is_up_to_date(model, out, BuildRequest(EngineSpec("tensorrt-rtx")))


RTX = BuildRequest(EngineSpec("tensorrt-rtx"))
CHANGES: dict[str, Any] = {
    "workspace_bytes": 1 << 30,
    "optimization_level": 1,
    "compute_capabilities": ("8.6",),
    "strip_weights": True,
}


NATIVE = Choice("native")


def key_of(model, request, choice=NATIVE):
    return request_key(model, request, choice)


@pytest.mark.parametrize("option", CHANGES)
def test_every_option_of_the_engine_makes_another_request(model, option):
    changed = dataclasses.replace(RTX, spec=EngineSpec("tensorrt-rtx", **{option: CHANGES[option]}))
    assert key_of(model, changed) != key_of(model, RTX)


@pytest.mark.parametrize("option", ["hardware_compatible", "version_compatible", "embed_plugin"])
def test_options_of_tensorrt_alone_make_another_request_too(model, option):
    plain = BuildRequest(EngineSpec("tensorrt"))
    assert key_of(model, BuildRequest(EngineSpec("tensorrt", **{option: True}))) != key_of(model, plain)


def test_every_option_of_the_engine_was_tried():
    tried = {*CHANGES, "flavour", "hardware_compatible", "version_compatible", "embed_plugin", "timing_cache"}
    assert tried == {field.name for field in dataclasses.fields(EngineSpec)}


def test_what_is_done_with_the_engine_makes_another_request(model):
    keys = {key_of(model, dataclasses.replace(RTX, **change)) for change in ({}, {"split": True})}
    keys |= {key_of(model, dataclasses.replace(RTX, repair=dtype)) for dtype in ("fp32", "bf16")}
    assert len(keys) == 4


def test_another_attention_or_another_library_makes_another_request(model, plugin_folder):
    build = read_plugin(plugin_folder)
    other = dataclasses.replace(build, files=build.files | {LIBRARY_FILE: "0" * 64})
    choices = [
        NATIVE,
        Choice("plain"),
        Choice("native", fell_back="no compiler"),
        *(Choice("plugin", Library(plugin_folder / LIBRARY_FILE, item)) for item in (build, other)),
    ]
    assert len({key_of(model, RTX, choice) for choice in choices}) == len(choices)
    same = Choice("plugin", Library(plugin_folder.parent / "elsewhere", build))
    assert key_of(model, RTX, same) == key_of(model, RTX, choices[3])


def test_what_changes_nothing_in_the_bundle_makes_no_other_request(model, tmp_path):
    for change in ({"force": True}, {"allow_unverified": True}, {"log_file": tmp_path / "log"}):
        assert key_of(model, dataclasses.replace(RTX, **change)) == key_of(model, RTX)
    cached = BuildRequest(EngineSpec("tensorrt", timing_cache="cache"))
    assert key_of(model, cached) == key_of(model, BuildRequest(EngineSpec("tensorrt")))


def test_another_version_of_this_tool_builds_again(model, out, monkeypatch):
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "99.0" if name == "briges-trt" else version(name))
    assert not is_up_to_date(model, out)
    assert is_up_to_date(model, out)


def test_another_version_of_the_library_builds_again(model, out, monkeypatch):
    monkeypatch.setattr("onnxruntime.__version__", "1.99.0")
    assert not is_up_to_date(model, out)
    assert read_manifest(out).flavour_version == "1.99.0"


def _damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda out: _damage(out / "model.onnx"),
        lambda out: _damage(out / "model.onnx.data"),
        lambda out: (out / "model.onnx").unlink(),
        lambda out: edit_json(out / "manifest.json", schema_version=1),
        lambda out: edit_json(out / "manifest.json", flavour="tensorrt-9"),
        lambda out: edit_json(out / "manifest.json", surprise=1),
        lambda out: edit_json(out / "manifest.json", engines=[]),
        lambda out: edit_json(out / "manifest.json", request="0" * 64),
    ],
)
def test_a_damaged_or_tampered_bundle_is_built_again(model, out, tamper: Callable[[Path], None]):
    tamper(out)
    assert not is_up_to_date(model, out)
    assert is_up_to_date(model, out)


def test_a_tampered_bundle_is_told_by_inspect_and_by_the_estimator(out):
    edit_json(out / "manifest.json", engines=[])
    answer = run_briges("inspect", out)
    assert answer.code == 1
    assert answer.err == (
        f"Error: bundle {out}: manifest.json is damaged: document: the engines of size 56x70 are incomplete\n"
        "  expected: an untouched file\n"
        "  cure: build it again with `make engine` or `briges build`\n"
    )
    from briges.runtime import DepthEstimator

    with pytest.raises(BundleError, match="the engines of size 56x70 are incomplete"):
        DepthEstimator(out)


def test_a_verdict_that_does_not_follow_from_its_figures_is_no_verdict(tmp_path):
    write_toy_model(tmp_path / "toy", "fp16")
    out = tmp_path / "engine"
    build_bundle(tmp_path / "toy", out, ORT, SILENT)
    gate = json.loads((out / "manifest.json").read_text())["gate"]
    gate["rows"][0]["agreement"]["relative_l2"] = 0.9
    edit_json(out / "manifest.json", gate=gate)
    with pytest.raises(BundleError, match="the verdict of its gate does not follow from its figures"):
        read_manifest(out)


def test_a_tampered_model_is_told_even_where_the_bundle_is_there(model, out):
    before = written(out)
    _damage(model / "model.onnx.data")
    with pytest.raises(BundleError, match=r"model\.onnx\.data has sha256 "):
        build_bundle(model, out, ORT, SILENT)
    assert written(out) == before


def test_a_bundle_that_failed_its_gate_is_up_to_date_only_for_who_allows_it(model, tmp_path):
    spoil_reference(model)
    out, allowed = tmp_path / "engine", dataclasses.replace(ORT, allow_unverified=True)
    build_bundle(model, out, allowed, SILENT)
    assert is_up_to_date(model, out, allowed)
    before = written(out)
    with pytest.raises(GateError):
        build_bundle(model, out, ORT, SILENT)
    assert written(out) == before


def test_bf16_is_refused_where_nothing_computes_it(tmp_path):
    spec = write_toy_model(tmp_path / "toy", "bf16")
    with pytest.raises(UsageError, match="ONNX Runtime has no bfloat16 on a CPU"):
        check_request(tmp_path / "toy", spec, tmp_path / "engine", ORT)
    half = dataclasses.replace(spec, precision="fp16")
    with pytest.raises(UsageError, match=r"^--repair bf16: bf16, for --flavour onnxruntime"):
        check_request(tmp_path / "toy", half, tmp_path / "engine", dataclasses.replace(ORT, repair="bf16"))
    check_request(tmp_path / "toy", half, tmp_path / "engine", dataclasses.replace(ORT, repair="fp32"))


def test_repair_needs_a_reference(tmp_path):
    spec = dataclasses.replace(write_toy_model(tmp_path / "toy", "fp16"), reference=None)
    with pytest.raises(UsageError, match="which was exported with --no-verify") as caught:
        check_request(tmp_path / "toy", spec, tmp_path / "engine", dataclasses.replace(RTX, repair="fp32"))
    assert caught.value.cure == "export it without --no-verify, or leave out --repair"
    assert read_model(tmp_path / "toy").reference
