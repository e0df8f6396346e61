"""`briges build`: what it prints and its exit codes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnxruntime
import pytest
from support.commands import run_briges
from support.specs import RANDOM, edit_json, write_model_folder

from briges.runtime.manifest import read_manifest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "model", b"g" * 1_400_000)


def test_a_bundle_is_built_and_described_in_one_line(model, tmp_path):
    out = tmp_path / "engine"
    done = run_briges("build", model, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{out}: stub for onnxruntime {onnxruntime.__version__}, 1 MB\n"
    assert read_manifest(out).model.preset == "stub"


def test_random_weights_and_a_skipped_check_are_told_on_stderr(model, tmp_path):
    edit_json(model / "model.json", weights=dataclasses.asdict(RANDOM), parity=None)
    done = run_briges("build", model, "--out", tmp_path / "engine")
    assert done.returncode == 0
    assert [line.split(" (")[0].split(": this")[0] for line in done.stderr.splitlines()] == [
        "WARNING: RANDOM WEIGHTS",
        "WARNING: UNVERIFIED",
    ]


def test_an_unknown_flavour_exits_2_and_writes_nothing(model, tmp_path):
    done = run_briges("build", model, "--out", tmp_path / "engine", "--flavour", "tensorrt-9")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Invalid value for '--flavour': 'tensorrt-9' is not 'onnxruntime'." in done.stderr
    assert not (tmp_path / "engine").exists()


def test_a_build_without_a_place_to_write_to_exits_2(model):
    done = run_briges("build", model)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Missing option '--out'" in done.stderr


def test_a_folder_that_is_no_model_exits_1_with_the_cure(tmp_path):
    done = run_briges("build", tmp_path, "--out", tmp_path / "engine")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: model folder {tmp_path}: has no model.json\n"
        "  expected: a folder holding model.json\n"
        "  cure: export the model again with `briges export`\n"
    )


def test_an_altered_model_exits_1(model, tmp_path):
    (model / "model.onnx").write_bytes(b"other")
    done = run_briges("build", model, "--out", tmp_path / "engine")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: model folder {model}: model.onnx has sha256 ")
    assert not (tmp_path / "engine").exists()


def test_a_foreign_folder_exits_1_and_is_untouched(model, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    done = run_briges("build", model, "--out", tmp_path / "thesis")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: output {tmp_path}/thesis: exists and was not made by this tool\n"
        "  expected: a new or empty folder, or one that holds manifest.json\n"
        "  cure: choose another folder with --out\n"
    )
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_a_place_that_cannot_be_written_exits_1(model):
    # /proc takes no new folders, not even from root.
    done = run_briges("build", model, "--out", "/proc/engine")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: output /proc/engine: cannot be written: ")
    assert "Traceback" not in done.stderr


def test_an_empty_out_is_not_the_current_folder(model):
    done = run_briges("build", model, "--out", "")
    assert done.returncode == 2
    assert "is empty: name a folder, '.' for the current one" in done.stderr
