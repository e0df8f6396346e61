"""Sidecars and manifests: what is written is read back, and a folder that was touched is refused with the cure."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest
from support.specs import (
    RANDOM,
    TRAINED,
    depth_spec,
    edit_json,
    manifest,
    model_spec,
    semantic_spec,
    write_bundle,
    write_model_folder,
)

from briges.runtime.errors import BundleError
from briges.runtime.manifest import Manifest, ModelSpec, Weights, notices, read_manifest, read_model
from briges.runtime.records import from_object, parse_json, to_json

EXPORT_AGAIN = "export the model again with `briges export`"
BUILD_AGAIN = "build it again with `make engine` or `briges build`"


def read_refused(read, folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        read(folder)
    assert str(folder) in caught.value.subject
    return caught.value


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "engine")


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "model")


def test_an_untouched_bundle_is_read(bundle):
    assert read_manifest(bundle).model == model_spec()


def test_an_untouched_model_folder_is_read(model_folder):
    spec = read_model(model_folder)
    assert spec == model_spec(files=spec.files)
    assert sorted(spec.files) == ["model.onnx", "model.onnx.data"]


def test_a_real_export_and_its_bundle_are_read(tiny_model, tiny_bundle):
    spec = read_model(tiny_model)
    assert (spec.preset, spec.image.height_px, spec.image.width_px) == ("briges-tiny", 126, 126)
    assert [item.name for item in spec.inputs] == ["image", "semantic_image"]
    assert read_manifest(tiny_bundle).model == spec


def test_both_records_survive_the_round_trip():
    made = manifest(model=model_spec(inputs=(depth_spec(56, 70), semantic_spec(256)), weights=RANDOM, parity=None))
    assert from_object(Manifest, parse_json(to_json(made))) == made
    assert from_object(ModelSpec, parse_json(to_json(made.model))) == made.model


def test_a_missing_folder_is_named_with_the_cure(tmp_path):
    error = read_refused(read_manifest, tmp_path / "nowhere")
    assert (error.came, error.expected) == ("does not exist", "a folder holding manifest.json")
    assert error.cure == BUILD_AGAIN
    error = read_refused(read_model, tmp_path / "nowhere")
    assert (error.came, error.expected) == ("does not exist", "a folder holding model.json")
    assert error.cure == EXPORT_AGAIN


def test_names_the_file_system_cannot_have_are_refused_like_missing_ones(bundle, model_folder):
    for read in (read_manifest, read_model):
        assert read_refused(read, bundle / ("n" * 5000)).came == "does not exist"
    edit_json(model_folder / "model.json", files={"n" * 5000: "0" * 64, "model.onnx": "0" * 64})
    assert read_refused(read_model, model_folder).came == f"the file {'n' * 5000} is missing"


def test_a_model_folder_is_not_taken_for_a_bundle(model_folder):
    assert read_refused(read_manifest, model_folder).came == "has no manifest.json"


def test_a_bundle_is_not_taken_for_a_model_folder(bundle):
    assert read_refused(read_model, bundle).came == "has no model.json"


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_a_missing_file_is_named(bundle, model_folder, name):
    for folder, read in ((bundle, read_manifest), (model_folder, read_model)):
        (folder / name).unlink()
        assert read_refused(read, folder).came == f"the file {name} is missing"


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_one_flipped_byte_is_noticed(bundle, model_folder, name):
    for folder, read in ((bundle, read_manifest), (model_folder, read_model)):
        content = bytearray((folder / name).read_bytes())
        content[-1] ^= 1
        (folder / name).write_bytes(content)
        error = read_refused(read, folder)
        assert error.came.startswith(f"{name} has sha256 ")
        assert ", recorded was " in error.came
        assert error.expected == "every file as it was written"


def test_a_truncated_file_is_noticed(bundle):
    os.truncate(bundle / "model.onnx.data", 3)
    assert read_refused(read_manifest, bundle).came.startswith("model.onnx.data has sha256 ")


def test_a_file_that_cannot_be_read_is_named(bundle):
    # Root may read every file, but not the start of its own memory.
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").symlink_to("/proc/self/mem")
    assert read_refused(read_manifest, bundle).came == "model.onnx cannot be read: Input/output error"


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version_is_refused(bundle, model_folder, version):
    edit_json(bundle / "manifest.json", schema_version=version)
    error = read_refused(read_manifest, bundle)
    assert error.came == f"manifest.json has schema version {version!r}"
    assert error.expected == "schema version 1"
    assert error.cure == f"{BUILD_AGAIN}, or install the briges-trt release that wrote it"
    edit_json(model_folder / "model.json", schema_version=version)
    assert read_refused(read_model, model_folder).came == f"model.json has schema version {version!r}"


def test_a_newer_schema_is_refused_for_its_version_and_not_for_its_fields(bundle):
    edit_json(bundle / "manifest.json", schema_version=2, colour="red")
    assert read_refused(read_manifest, bundle).came == "manifest.json has schema version 2"


@pytest.mark.parametrize("content", [b"", b"{", b"\x80\x04\x95", b"[" * 100_000])
def test_a_manifest_that_is_not_json_is_refused(bundle, content):
    (bundle / "manifest.json").write_bytes(content)
    error = read_refused(read_manifest, bundle)
    assert error.came.startswith("manifest.json is damaged: not JSON: ")
    assert error.cure == BUILD_AGAIN


def test_a_manifest_that_is_no_object_has_no_schema_version(bundle):
    (bundle / "manifest.json").write_text("[]")
    assert read_refused(read_manifest, bundle).came == "manifest.json has schema version None"


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "sub/file", "..", ".", ""])
def test_a_file_name_that_leads_elsewhere_is_refused(bundle, model_folder, name):
    document = json.loads((bundle / "manifest.json").read_text())
    edit_json(bundle / "manifest.json", files=document["files"] | {name: document["files"]["model.onnx"]})
    assert read_refused(read_manifest, bundle).came == (
        f"manifest.json is damaged: document: {name!r} is not a plain file name"
    )
    document = json.loads((model_folder / "model.json").read_text())
    edit_json(model_folder / "model.json", files=document["files"] | {name: "0" * 64})
    assert read_refused(read_model, model_folder).came == (
        f"model.json is damaged: document: {name!r} is not a plain file name"
    )


def test_an_engine_outside_the_recorded_files_is_refused(bundle):
    edit_json(bundle / "manifest.json", engine="../other.onnx")
    assert read_refused(read_manifest, bundle).came == (
        "manifest.json is damaged: document: the engine '../other.onnx' is not among the files"
    )


def test_a_sidecar_without_a_graph_is_refused(model_folder):
    edit_json(model_folder / "model.json", files={})
    error = read_refused(read_model, model_folder)
    assert (error.came, error.expected) == ("model.json lists the files []", "model.onnx among them")


def test_another_flavour_is_refused(bundle):
    edit_json(bundle / "manifest.json", flavour="tensorrt")
    assert "flavour: came 'tensorrt', expected one of ['onnxruntime']" in read_refused(read_manifest, bundle).came


@pytest.mark.parametrize(("files", "random_seed"), [((), None), (TRAINED.files, 7)])
def test_weights_come_from_exactly_one_source(files, random_seed):
    with pytest.raises(ValueError, match="either from files or from a random seed"):
        Weights(files, random_seed, "stub", "Apache-2.0")


def test_a_manifest_with_neither_source_of_weights_names_the_place(bundle):
    document = json.loads((bundle / "manifest.json").read_text())
    document["model"]["weights"]["files"] = []
    (bundle / "manifest.json").write_text(json.dumps(document))
    assert read_refused(read_manifest, bundle).came == (
        "manifest.json is damaged: model.weights: weights come either from files or from a random seed"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": ()}, "inputs must be 'image' and, for gated presets, 'semantic_image'"),
        ({"inputs": (semantic_spec(256),)}, "inputs must be 'image' and"),
        ({"inputs": (semantic_spec(256), depth_spec(56, 70))}, "inputs must be 'image' and"),
        ({"inputs": (depth_spec(0, 70),)}, "batch and input sizes must be positive"),
        ({"batch": 0}, "batch and input sizes must be positive"),
    ],
)
def test_a_model_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        model_spec(**changes)


@pytest.mark.parametrize("changes", [{"mean": (1.0, 2.0)}, {"std": (1.0,)}, {"std": (1.0, 0.0, 1.0)}])
def test_a_normalisation_that_cannot_be_is_refused(changes):
    with pytest.raises(ValueError, match="mean and std must hold three numbers each, those of std above 0"):
        dataclasses.replace(depth_spec(56, 70), **changes)


def test_the_shape_of_an_input_follows_its_dtype():
    assert depth_spec(56, 70).shape(2) == (2, 56, 70, 3)
    assert depth_spec(56, 70, "float32").shape(2) == (2, 3, 56, 70)


def test_a_checked_model_with_trained_weights_has_no_notices():
    assert notices(model_spec()) == ()


def test_random_weights_and_a_skipped_check_are_told():
    told = notices(model_spec(weights=RANDOM, parity=None))
    assert told == (
        "RANDOM WEIGHTS (seed 7): latency is representative, the depth is meaningless",
        "UNVERIFIED: this model was exported with --no-verify and never compared with PyTorch",
    )
    assert notices(model_spec(weights=RANDOM)) == told[:1]
    assert notices(model_spec(parity=None)) == told[1:]


def test_weights_that_must_not_earn_money_are_told():
    licence = "your checkpoint's own, on top of CC-BY-NC-4.0 (Depth Anything V2 ViT-B/L weights: no commercial use)"
    spec = model_spec(weights=dataclasses.replace(TRAINED, licence=licence))
    assert notices(spec) == (f"NO COMMERCIAL USE of these weights: {licence}",)


def test_a_model_of_another_schema_inside_a_bundle_is_refused(bundle):
    edit_json(
        bundle / "manifest.json",
        model=json.loads((bundle / "manifest.json").read_text())["model"] | {"schema_version": 9},
    )
    assert "its model has schema version 9, expected 1" in read_refused(read_manifest, bundle).came
