"""Model folders and bundles alike: what is read, and that a folder that was touched is refused with the cure."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from support.manifests import ENGINE_FILE, edit_json, manifest, model, write_bundle, write_model_folder

from briges.runtime.errors import BundleError
from briges.runtime.manifest import BundleFile, read_manifest
from briges.runtime.sidecar import read_model

EXPORT_AGAIN = "export the model again with `briges export`"
BUILD_AGAIN = "build it again with `make engine` or `briges build`"
OTHER_FILE = "model.onnx.data"


def read_refused(read, folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        read(folder)
    assert str(folder) in caught.value.subject
    return caught.value


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    files = {name: BundleFile("", 0) for name in (ENGINE_FILE, OTHER_FILE)}
    return write_bundle(tmp_path / "engine", manifest("onnxruntime", "1.31.0", files=files))


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "model", model(files=dict.fromkeys(model().files, "") | {OTHER_FILE: ""}))


@pytest.fixture(params=["bundle", "model"])
def touched(request: pytest.FixtureRequest, bundle, model_folder):
    """The folder, what reads it, its document, and two of its files."""
    if request.param == "bundle":
        return bundle, read_manifest, bundle / "manifest.json", (ENGINE_FILE, OTHER_FILE)
    return model_folder, read_model, model_folder / "model.json", ("model.onnx", OTHER_FILE)


def test_untouched_folders_are_read(bundle, model_folder):
    assert read_manifest(bundle).model == model()
    spec = read_model(model_folder)
    assert spec == model(files=spec.files)
    assert sorted(spec.files) == ["model.onnx", "model.onnx.data", "reference.npz"]


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
    files = json.loads((model_folder / "model.json").read_text())["files"]
    edit_json(model_folder / "model.json", files={"n" * 5000: "0" * 64} | files)
    assert read_refused(read_model, model_folder).came == f"the file {'n' * 5000} is missing"


def test_a_file_in_the_folders_place_is_no_folder(tmp_path):
    (tmp_path / "engine").write_text("not a folder")
    for read in (read_manifest, read_model):
        assert read_refused(read, tmp_path / "engine").came == "is not a folder"


def test_a_model_folder_is_not_taken_for_a_bundle(model_folder):
    assert read_refused(read_manifest, model_folder).came == "has no manifest.json"


def test_a_bundle_is_not_taken_for_a_model_folder(bundle):
    assert read_refused(read_model, bundle).came == "has no model.json"


def test_a_missing_file_is_named(touched):
    folder, read, _, names = touched
    for name in names:
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        assert read_refused(read, folder).came == f"the file {name} is missing"
        (folder / name).write_bytes(kept)
    read(folder)


def test_one_flipped_byte_is_noticed(touched):
    folder, read, _, names = touched
    for name in names:
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        error = read_refused(read, folder)
        assert error.came.startswith(f"{name} has sha256 ")
        assert ", recorded was " in error.came
        assert error.expected == "every file as it was written"
        (folder / name).write_bytes(kept)
    read(folder)


def test_a_truncated_file_is_noticed(touched):
    folder, read, _, names = touched
    os.truncate(folder / names[1], 3)
    assert read_refused(read, folder).came.startswith(f"{names[1]} has sha256 ")


def test_a_file_that_cannot_be_read_is_named(touched):
    folder, read, _, names = touched
    # Root may read every file, but not the start of its own memory.
    (folder / names[0]).unlink()
    (folder / names[0]).symlink_to("/proc/self/mem")
    assert read_refused(read, folder).came == f"{names[0]} cannot be read: Input/output error"


def test_a_folder_in_a_files_place_is_a_missing_file(touched):
    folder, read, _, names = touched
    (folder / names[0]).unlink()
    (folder / names[0]).mkdir()
    assert read_refused(read, folder).came == f"the file {names[0]} is missing"


@pytest.mark.parametrize("version", [0, 2, 4, "3", None])
def test_another_schema_version_is_refused(touched, version):
    folder, read, document, _ = touched
    edit_json(document, schema_version=version)
    error = read_refused(read, folder)
    assert error.came == f"{document.name} has schema version {version!r}"
    assert error.expected == "schema version 3"
    again = BUILD_AGAIN if document.name == "manifest.json" else EXPORT_AGAIN
    assert error.cure == f"{again}, or install the briges-trt release that wrote it"


def test_a_newer_schema_is_refused_for_its_version_and_not_for_its_fields(touched):
    folder, read, document, _ = touched
    edit_json(document, schema_version=4, colour="red")
    assert read_refused(read, folder).came == f"{document.name} has schema version 4"


@pytest.mark.parametrize("content", [b"", b"{", b"\x80\x04\x95", b"[" * 100_000])
def test_a_document_that_is_not_json_is_refused(touched, content):
    folder, read, document, _ = touched
    document.write_bytes(content)
    error = read_refused(read, folder)
    assert error.came.startswith(f"{document.name} is damaged: not JSON: ")
    again = BUILD_AGAIN if document.name == "manifest.json" else EXPORT_AGAIN
    assert error.cure == f"delete {folder}, then {again}"  # what cannot be read is nobody's to replace


def test_a_document_that_is_no_object_has_no_schema_version(touched):
    folder, read, document, _ = touched
    document.write_text("[]")
    assert read_refused(read, folder).came == f"{document.name} has schema version None"


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "sub/file", "..", ".", ""])
def test_a_file_name_that_leads_elsewhere_is_refused(touched, name):
    folder, read, document, names = touched
    files = json.loads(document.read_text())["files"]
    edit_json(document, files=files | {name: files[names[0]]})
    assert read_refused(read, folder).came == (
        f"{document.name} is damaged: document: {name!r} is not a plain file name"
    )


def test_a_real_export_and_its_bundle_are_read(tiny_model, tiny_bundle, tmp_path):
    spec = read_model(tiny_model)
    assert read_manifest(tiny_bundle).model == spec
    # An incomplete copy, as of an interrupted download.
    shutil.copytree(tiny_bundle, tmp_path / "engine", ignore=shutil.ignore_patterns("*.data"))
    assert read_refused(read_manifest, tmp_path / "engine").came == "the file model.onnx.data is missing"
