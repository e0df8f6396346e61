"""Model folder to bundle: what is refused, what is written, and what a kill or a full disk leaves behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from support.building import build_for_onnxruntime
from support.commands import environment
from support.manifests import edit_json
from support.photographs import photograph
from support.stub_bundle import assert_close, luminance, own_size, write_stub_model

from briges.runtime import DepthEstimator
from briges.runtime.errors import BundleError, OutputError, UsageError
from briges.runtime.files import sha256_of
from briges.runtime.manifest import read_manifest
from briges.runtime.sidecar import read_model

BUNDLE_FILES = ["manifest.json", "model.onnx", "model.onnx.data", "reference.npz"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_stub_model(tmp_path / "model")


def files_of(folder: Path) -> list[str]:
    """Names in ``folder``, without the locks that builds leave."""
    return sorted(name for name in os.listdir(folder) if not name.endswith(".lock"))


def test_the_bundle_of_a_real_model_gives_depth(tiny_model, tmp_path):
    manifest = build_for_onnxruntime(tiny_model, tmp_path / "engine")
    assert files_of(tmp_path / "engine") == BUNDLE_FILES
    assert read_manifest(tmp_path / "engine") == manifest
    with DepthEstimator(tmp_path / "engine") as estimator:
        depth = estimator(photograph("4:3")).depth
    assert depth.shape == (288, 384)
    assert np.ptp(depth) > 0.1


def test_the_manifest_embeds_the_sidecar_and_says_what_was_built(model, tmp_path):
    manifest = build_for_onnxruntime(model, tmp_path / "engine")
    assert manifest.model == read_model(model)
    document = json.loads((tmp_path / "engine" / "manifest.json").read_text())
    assert document["model"] == json.loads((model / "model.json").read_text())
    assert (manifest.schema_version, manifest.flavour) == (3, "onnxruntime")
    (engine,) = manifest.engines
    assert (engine.part, engine.size, engine.file) == ("model", "56x70", "model.onnx")
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in (*engine.inputs, *engine.outputs)] == [
        ("image", "uint8", (1, 56, 70, 3)),
        ("depth", "float32", (1, 1, 56, 70)),
    ]
    assert engine.onnx_sha256 == sha256_of(tmp_path / "engine" / "model.onnx")
    assert (engine.weights_bytes, engine.activation_bytes, engine.layers) == (None, None, {})
    assert manifest.flavour_version == onnxruntime.__version__
    assert manifest.tool_version == metadata.version("briges-trt")
    age = datetime.now(timezone.utc) - datetime.fromisoformat(manifest.built_at)
    assert timedelta(seconds=-1) < age < timedelta(minutes=5)
    for name, file in manifest.files.items():
        path = tmp_path / "engine" / name
        assert (file.sha256, file.size_bytes) == (sha256_of(path), path.stat().st_size)


def test_the_model_folder_stays_valid_for_the_onnx_package(model, tmp_path):
    # Which refuses weights with a second hard link, as an attack.
    build_for_onnxruntime(model, tmp_path / "engine")
    for folder in (model, tmp_path / "engine"):
        assert {path.stat().st_nlink for path in folder.iterdir()} == {1}
        onnx.checker.check_model(folder / "model.onnx")


def test_a_bundle_outlives_its_model_folder(model, tmp_path):
    build_for_onnxruntime(model, tmp_path / "engine")
    shutil.rmtree(model)
    with DepthEstimator(tmp_path / "engine") as estimator:
        assert_close(estimator(own_size()).depth, luminance(own_size()))


def test_of_a_linked_model_file_the_bundle_gets_the_file(model, tmp_path):
    (tmp_path / "store").mkdir()
    (model / "model.onnx.data").rename(tmp_path / "store" / "blob")
    (model / "model.onnx.data").symlink_to("../store/blob")  # as the caches of download tools do
    build_for_onnxruntime(model, tmp_path / "deep" / "down" / "engine")
    bundled = tmp_path / "deep" / "down" / "engine" / "model.onnx.data"
    assert not bundled.is_symlink()
    assert sha256_of(bundled) == read_model(model).files["model.onnx.data"]


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "reference.npz"])
def test_an_altered_model_is_refused_and_nothing_is_written(model, tmp_path, name):
    (model / name).write_bytes((model / name).read_bytes()[:-1] + b"!")
    with pytest.raises(BundleError) as caught:
        build_for_onnxruntime(model, tmp_path / "engine")
    assert caught.value.came.startswith(f"{name} has sha256 ")
    assert caught.value.cure == "export the model again with `briges export`"
    assert files_of(tmp_path) == ["model"]


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "reference.npz", "model.json"])
def test_an_incomplete_model_is_refused_and_nothing_is_written(model, tmp_path, name):
    (model / name).unlink()
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        build_for_onnxruntime(model, tmp_path / "engine")
    assert files_of(tmp_path) == ["model"]


def test_a_sidecar_that_names_files_elsewhere_writes_nothing_there(model, tmp_path):
    (tmp_path / "secret").write_text("mine")
    files = read_model(model).files | {"../secret": sha256_of(tmp_path / "secret")}
    edit_json(model / "model.json", files=files)
    with pytest.raises(BundleError, match=r"'\.\./secret' is not a plain file name"):
        build_for_onnxruntime(model, tmp_path / "engine")
    assert files_of(tmp_path) == ["model", "secret"]


def test_a_foreign_folder_is_refused_and_untouched(model, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(OutputError, match="exists and was not made by this tool"):
        build_for_onnxruntime(model, tmp_path / "thesis")
    assert files_of(tmp_path / "thesis") == ["chapter.tex"]
    # The model folder itself is no bundle either.
    before = files_of(model)
    with pytest.raises(UsageError, match="lies in the model folder"):
        build_for_onnxruntime(model, model)
    assert files_of(model) == before
    assert read_model(model)


def test_a_new_bundle_replaces_an_old_one_whole(model, tmp_path):
    out = tmp_path / "engine"
    first = write_stub_model(tmp_path / "first", batch=2)
    old, graph = build_for_onnxruntime(first, out), sha256_of(first / "model.onnx")
    edit_json(out / "manifest.json", files=json.loads((out / "manifest.json").read_text())["files"] | {"old.plan": {}})
    (out / "old.plan").write_text("of the old one")
    build_for_onnxruntime(model, out)
    assert read_manifest(out).files["model.onnx"] != old.files["model.onnx"]
    assert files_of(out) == BUNDLE_FILES
    assert files_of(tmp_path) == ["engine", "first", "model"]
    assert sha256_of(first / "model.onnx") == graph


def test_files_that_somebody_put_into_a_bundle_are_kept(model, tmp_path):
    build_for_onnxruntime(model, tmp_path / "engine")
    (tmp_path / "engine" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds other files than this tool wrote, such as notes\.txt"):
        build_for_onnxruntime(model, tmp_path / "engine", force=True)
    assert (tmp_path / "engine" / "notes.txt").read_text() == "mine"


# Builds, but stops for a minute after the first file has been put into the bundle.
SLOW_BUILD = """
import shutil, sys, time
from pathlib import Path
from support.building import build_for_onnxruntime

copy = shutil.copyfile

def copy_and_stop(source, target):
    copy(source, target)
    print("half built", flush=True)
    time.sleep(60)

shutil.copyfile = copy_and_stop
build_for_onnxruntime(Path(sys.argv[1]), Path(sys.argv[2]), force=True)
"""


def kill_a_build_half_way(model: Path, out: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_BUILD, str(model), str(out)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(Path(__file__).parents[1]),
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half built\n"
        child.kill()
    assert child.returncode == -signal.SIGKILL


def test_a_killed_build_leaves_no_half_bundle_and_the_next_one_works(model, tmp_path):
    out = tmp_path / "engine"
    kill_a_build_half_way(model, out)
    assert not out.exists()
    manifest = build_for_onnxruntime(model, out)
    kill_a_build_half_way(model, out)
    assert read_manifest(out) == manifest
    assert read_model(model) == manifest.model
