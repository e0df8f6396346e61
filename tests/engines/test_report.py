"""What a build says of its result."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.manifests import manifest, model, options

from briges.engines.build import Built
from briges.engines.report import describe_build
from briges.runtime.manifest import BundleFile, Manifest, Repair

OUT = Path("build/engine")


def lines(made: Manifest, *, up_to_date: bool = False) -> list[str]:
    return list(describe_build(OUT, Built(made, up_to_date, Path("build/engine.log"))))


@pytest.fixture
def made() -> Manifest:
    """An engine of 5.5 MB for TensorRT."""
    return manifest("tensorrt", "10.3.0", options=options(compute_capabilities=("8.7",)))


def test_the_first_line_says_what_for_what_and_whether_it_was_there(made):
    assert lines(made)[0] == ("build/engine: built. briges-tiny 56x70 fp16 for tensorrt 10.3.0, compute capability 8.7")
    assert lines(made, up_to_date=True)[0].startswith("build/engine: up to date. briges-tiny ")


def test_every_engine_is_told_with_what_it_costs(made):
    (engine,) = made.engines
    told = dataclasses.replace(engine, activation_bytes=12_340_000, build_s=3.21)
    assert lines(dataclasses.replace(made, engines=(told,)))[1:3] == [
        "  1 file, 5.5 MB",
        "  model.engine: 5.5 MB, activations 12.3 MB, built in 3.2 s",
    ]
    with_plugin = dataclasses.replace(told, plugin_layers=32)
    costs = "  model.engine: 5.5 MB, activations 12.3 MB, 32 plugin layers, built in 3.2 s"
    assert lines(dataclasses.replace(made, engines=(with_plugin,)))[2] == costs
    unknown = dataclasses.replace(engine, activation_bytes=None, build_s=None)
    assert lines(dataclasses.replace(made, engines=(unknown,)))[2] == "  model.engine: 5.5 MB"


def test_the_gate_is_told_row_by_row(made):
    assert made.gate is not None
    found = lines(made)
    position = found.index("  numeric gate passed")
    assert found[position + 1].startswith("    onnx 56x70: relative L2 1.0e-03 (10% of 1e-02 allowed), ")
    assert found[position + 2] == "    engine 56x70: skipped: no GPU"
    failed = dataclasses.replace(made, gate=dataclasses.replace(made.gate, violations=("onnx 56x70: wrong",)))
    assert "  numeric gate FAILED" in lines(failed)
    unverified = dataclasses.replace(made, gate=None, model=model(reference=None))
    assert "  numeric gate: not run, the model was exported with --no-verify" in lines(unverified)


def test_a_repair_is_told_with_its_price(made):
    parts = ("geometry.blocks.3.mlp", "head")
    known = Repair(parts, "fp32", 5_000_000, 5_500_000, 9_000_000, 9_100_000)
    costs = "repaired with geometry.blocks.3.mlp, head in fp32: engines 5.0 -> 5.5 MB"
    assert f"  {costs}, activations 9.0 -> 9.1 MB" in lines(dataclasses.replace(made, repair=known))
    unknown = dataclasses.replace(known, activation_bytes_before=None)
    assert f"  {costs}" in lines(dataclasses.replace(made, repair=unknown))


def test_the_log_is_named_where_one_was_written(made):
    assert lines(made)[-1] == "  TensorRT's log: build/engine.log"
    assert "log" not in " ".join(lines(made, up_to_date=True))
    assert "log" not in " ".join(lines(manifest("onnxruntime", "1.31.0")))


def test_a_bundle_for_onnx_runtime_has_no_engines_of_its_own():
    files = {"model.engine": BundleFile("0" * 64, 1_500_000), "model.onnx.data": BundleFile("0" * 64, 50_000_000)}
    found = lines(manifest("onnxruntime", "1.31.0", files=files))
    assert found[:2] == ["build/engine: built. briges-tiny 56x70 fp16 for onnxruntime 1.31.0", "  2 files, 51.5 MB"]
    assert found[2] == "  attention: native"
    assert found[3].startswith("  numeric gate ")
