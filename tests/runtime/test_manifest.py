"""What a bundle says of itself: round trip, bundles that cannot be, and what must be told of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support.manifests import (
    ENGINE_FILE,
    RANDOM,
    depth_spec,
    edit_json,
    manifest,
    model,
    options,
    write_bundle,
)

from briges.runtime.agreement import LIMITS
from briges.runtime.errors import BundleError
from briges.runtime.manifest import BundleFile, Engine, Gate, Manifest, Repair, notices, read_manifest
from briges.runtime.records import from_object, parse_json, to_json
from briges.runtime.sidecar import SizedGraph


def made(**changes: Any) -> Manifest:
    return manifest("onnxruntime", "1.31.0", **changes)


def engine(part: str, size: str | None, file: str = ENGINE_FILE) -> Engine:
    return dataclasses.replace(made().engines[0], part=part, size=size, file=file)


TWO_SIZES = model(
    graphs=tuple(
        SizedGraph(f"model-56x{width}.onnx", (depth_spec(56, width), *model().graphs[0].inputs[1:]), None)
        for width in (70, 112)
    )
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "engine", made())


def refusal(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        read_manifest(folder)
    return caught.value


def test_it_survives_the_round_trip():
    repair = Repair(("head",), "fp32", 1, 2, None, 3)
    for manifest_ in (made(), made(repair=repair, gate=None, model=model(weights=RANDOM, reference=None))):
        assert from_object(Manifest, parse_json(to_json(manifest_))) == manifest_


def test_the_manifest_of_a_real_bundle_is_read(tiny_bundle):
    found = read_manifest(tiny_bundle)
    assert (found.flavour, [e.part for e in found.engines]) == ("onnxruntime", ["model"])
    assert found.gate is not None
    assert found.gate.passed


def test_an_engine_outside_the_recorded_files_is_refused(bundle):
    engines = json.loads((bundle / "manifest.json").read_text())["engines"]
    edit_json(bundle / "manifest.json", engines=[engines[0] | {"file": "../other.onnx"}])
    assert refusal(bundle).came == (
        "manifest.json is damaged: document: the engine '../other.onnx' is not among the files"
    )


def test_another_flavour_is_refused(bundle):
    edit_json(bundle / "manifest.json", flavour="openvino")
    assert refusal(bundle).came == (
        "manifest.json is damaged: flavour: came 'openvino', "
        "expected one of ['onnxruntime', 'tensorrt', 'tensorrt-rtx']"
    )


def test_a_manifest_with_neither_source_of_weights_names_the_place(bundle):
    document = json.loads((bundle / "manifest.json").read_text())
    document["model"]["weights"]["files"] = []
    (bundle / "manifest.json").write_text(json.dumps(document))
    assert refusal(bundle).came == (
        "manifest.json is damaged: model.weights: weights come either from files or from a random seed"
    )


def test_a_model_of_another_schema_inside_a_bundle_is_refused(bundle):
    spec = json.loads((bundle / "manifest.json").read_text())["model"]
    edit_json(bundle / "manifest.json", model=spec | {"schema_version": 9})
    assert "its model has schema version 9, expected 3" in refusal(bundle).came


SPLIT = ("geometry", "semantic", "fusion")


@pytest.mark.parametrize("parts", [SPLIT, SPLIT[::-1], ("geometry", "fusion")])
def test_the_engines_of_a_size_come_in_the_order_they_run(parts):
    files = {part: BundleFile("", 1) for part in parts}
    split = made(engines=tuple(engine(part, "56x70", part) for part in parts), files=files, options=options(split=True))
    assert [e.part for e in split.engines_of("56x70")] == [part for part in SPLIT if part in parts]


def test_an_engine_without_a_size_serves_every_size():
    engines = [engine("semantic", None, "semantic")]
    for size in ("56x70", "56x112"):
        engines += [engine("geometry", size, f"g{size}"), engine("fusion", size, f"f{size}")]
    files = {e.file: BundleFile("", 1) for e in engines}
    split = made(engines=tuple(engines), files=files, options=options(split=True), model=TWO_SIZES)
    assert [e.file for e in split.engines_of("56x112")] == ["g56x112", "semantic", "f56x112"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engines": (engine("model", "56x84"),)}, "is for size 56x84, which the model has not"),
        ({"engines": ()}, "the engines of size 56x70 are incomplete"),
        ({"engines": (engine("geometry", "56x70"),)}, "the engines of size 56x70 are incomplete"),
        ({"engines": (engine("model", "56x70"),) * 2}, "the engines of size 56x70 are incomplete"),
        ({"options": options(split=True)}, "the engines of size 56x70 are incomplete"),
        ({"model": TWO_SIZES}, "the engines of size 56x112 are incomplete"),
        ({"files": {ENGINE_FILE: BundleFile("", 1), "../x": BundleFile("", 1)}}, "'../x' is not a plain file name"),
    ],
)
def test_a_bundle_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        made(**changes)


def test_a_bundle_that_passed_its_gate_has_the_notices_of_its_model():
    assert notices(made()) == ()
    assert [told.partition(" (")[0] for told in notices(made(model=model(weights=RANDOM)))] == ["RANDOM WEIGHTS"]


def test_a_failed_gate_is_told_with_what_was_wrong():
    gate = Gate(LIMITS["fp16"], (), ("onnx 56x70: the output has NaN or infinite values", "engine 56x70: worse"))
    assert notices(made(gate=gate)) == (
        "FAILED ITS NUMERIC GATE, built with --allow-unverified: "
        "onnx 56x70: the output has NaN or infinite values; engine 56x70: worse",
    )
