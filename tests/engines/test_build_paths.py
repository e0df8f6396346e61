"""Wherever model and bundle lie, and whatever their folders are called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.build_process import hashes, hidden, left_in
from support.building import SILENT
from support.in_process import run_briges
from support.stub_bundle import assert_close, luminance, own_size, write_stub_model

from briges.engines.build import build_bundle
from briges.engines.request import BuildRequest, beside
from briges.engines.spec import EngineSpec
from briges.runtime import DepthEstimator
from briges.runtime.manifest import read_manifest

FLAVOURS = ("onnxruntime", "tensorrt-rtx")
AWKWARD = "größe 'a' \"b\" $HOME; #深度 %d {x}"


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_names_with_spaces_quotes_and_other_alphabets_mean_themselves(tmp_path, flavour):
    model, out = write_stub_model(tmp_path / AWKWARD / "model"), tmp_path / AWKWARD / f"{AWKWARD} engine"
    answer = run_briges("build", model, "--out", out, "--flavour", flavour)
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{out}: built. ")
    assert read_manifest(out).flavour == flavour
    log = out.with_name(f"{out.name}.log")
    assert log.exists() == (flavour == "tensorrt-rtx")
    if flavour == "onnxruntime":
        with DepthEstimator(out) as estimator:
            assert_close(estimator(own_size()).depth, luminance(own_size()))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_relative_paths_are_those_of_the_users_folder(tmp_path, monkeypatch, flavour):
    write_stub_model(tmp_path / "models" / "stub")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    answer = run_briges("build", "../models/stub", "--out", "deep/engine", "--flavour", flavour)
    assert answer.code == 0, answer.err
    assert read_manifest(tmp_path / "work" / "deep" / "engine").flavour == flavour
    if flavour == "tensorrt-rtx":
        assert "  TensorRT's log: deep/engine.log\n" in answer.out
        assert (tmp_path / "work" / "deep" / "engine.log").stat().st_size > 1000


@pytest.mark.parametrize("name", [".", "../engine", "../engine/"])
def test_the_current_folder_can_become_the_bundle(tmp_path, monkeypatch, name):
    model = write_stub_model(tmp_path / "model")
    (tmp_path / "engine").mkdir()
    monkeypatch.chdir(tmp_path / "engine")
    answer = run_briges("build", model, "--out", name, "--flavour", "tensorrt-rtx")
    assert answer.code == 0, answer.err
    assert read_manifest(tmp_path / "engine").flavour == "tensorrt-rtx"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".engine.lock", "engine", "engine.log", "model"]


def test_what_lies_beside_a_bundle_is_named_after_it(tmp_path, monkeypatch):
    assert beside(Path("build/engine"), ".log") == Path("build/engine.log")
    monkeypatch.chdir(tmp_path)
    assert beside(Path("."), "-evidence") == tmp_path.with_name(f"{tmp_path.name}-evidence")
    (tmp_path / "deep").mkdir()
    assert beside(Path("deep/.."), ".log") == tmp_path.with_name(f"{tmp_path.name}.log")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_through_a_link_the_bundle_is_written_where_it_points(tmp_path, flavour):
    model = write_stub_model(tmp_path / "model")
    (tmp_path / "disk" / "store").mkdir(parents=True)
    (tmp_path / "engine").symlink_to("disk/store")
    for force in (False, True):
        request = BuildRequest(EngineSpec(flavour), force=force)  # type: ignore[arg-type]
        assert not build_bundle(model, tmp_path / "engine", request, SILENT).up_to_date
        assert os.readlink(tmp_path / "engine") == "disk/store"
        assert read_manifest(tmp_path / "disk" / "store").flavour == flavour
    assert build_bundle(model, tmp_path / "disk" / "store", BuildRequest(EngineSpec(flavour)), SILENT).up_to_date  # type: ignore[arg-type]
    assert hidden(tmp_path / "disk") == [".store.lock"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_nothing_is_written_into_the_model_folder(tmp_path, monkeypatch, flavour):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    model = write_stub_model(tmp_path / "model")
    before, changed = hashes(model), model.stat().st_mtime_ns
    model.chmod(0o555)
    try:
        build_bundle(model, tmp_path / "engine", BuildRequest(EngineSpec(flavour)), SILENT)  # type: ignore[arg-type]
    finally:
        model.chmod(0o755)
    assert hashes(model) == before
    assert model.stat().st_mtime_ns == changed  # nothing was made in it even for a moment, which root could
    assert left_in(tmp_path / "temporary") == []
