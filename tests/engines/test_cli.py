"""`briges build`: what it prints and its exit codes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import onnxruntime
import pytest
from support.commands import run_briges
from support.manifests import edit_json
from support.stub_bundle import write_stub_model

from briges.runtime.compatibility import choose_flavour
from briges.runtime.manifest import read_manifest


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_stub_model(tmp_path / "model")


def build(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_briges("build", *arguments, "--flavour", "onnxruntime")


def test_a_bundle_is_built_and_described_with_the_verdict_of_its_gate(model, tmp_path):
    out = tmp_path / "engine"
    done = build(model, "--out", out)
    assert (done.returncode, "WARNING" in done.stderr) == (0, False), done.stderr
    first, second, attention, *gate = done.stdout.splitlines()
    assert first == f"{out}: built. stub 56x70 fp32 for onnxruntime {onnxruntime.__version__}"
    assert second.startswith("  3 files, 0.0 MB")
    assert attention == "  attention: native"
    assert gate[0] == "  numeric gate passed"
    assert read_manifest(out).model.preset == "stub"


def test_the_same_build_again_is_up_to_date_unless_it_is_forced(model, tmp_path):
    out = tmp_path / "engine"
    states = []
    for options in ((), (), ("--force",)):
        done = build(model, "--out", out, *options)
        states.append((done.returncode, done.stdout.split(": ")[1].split(".")[0]))
    assert states == [(0, "built"), (0, "up to date"), (0, "built")]


def test_auto_says_what_it_chose_and_why(model, tmp_path):
    flavour, reason = choose_flavour()
    done = run_briges("build", model, "--out", tmp_path / "engine")
    assert f"--flavour auto: {flavour}. {reason}\n" in done.stderr
    assert done.returncode == 0, done.stderr
    assert read_manifest(tmp_path / "engine").flavour == flavour


def test_random_weights_and_a_skipped_check_are_told_on_stderr(tmp_path):
    model = write_stub_model(tmp_path / "model", random_weights=True)
    edit_json(model / "model.json", reference=None)
    done = build(model, "--out", tmp_path / "engine")
    assert done.returncode == 0
    assert "numeric gate: not run, the model was exported with --no-verify" in done.stdout
    told = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert [line.split(" (")[0].split(": this")[0] for line in told] == [
        "WARNING: RANDOM WEIGHTS",
        "WARNING: UNVERIFIED",
    ]


def test_an_unknown_flavour_exits_2_and_writes_nothing(model, tmp_path):
    done = run_briges("build", model, "--out", tmp_path / "engine", "--flavour", "tensorrt-9")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Error: --flavour: 'tensorrt-9'\n"
        "  expected: one of auto, onnxruntime, tensorrt, tensorrt-rtx\n"
        "  cure: did you mean 'tensorrt'?\n"
    )
    assert not (tmp_path / "engine").exists()


def test_a_build_without_a_place_to_write_to_exits_2(model):
    done = build(model)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Missing option '--out'" in done.stderr


def test_a_folder_that_is_no_model_exits_1_with_the_cure(tmp_path):
    done = build(tmp_path, "--out", tmp_path / "engine")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        f"Error: model folder {tmp_path}: has no model.json\n"
        "  expected: a folder holding model.json\n"
        "  cure: export the model again with `briges export`\n"
    )


def test_an_altered_model_exits_1(model, tmp_path):
    (model / "model.onnx").write_bytes(b"other")
    done = build(model, "--out", tmp_path / "engine")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"\nError: model folder {model}: model.onnx has sha256 " in done.stderr
    assert not (tmp_path / "engine").exists()


def test_a_foreign_folder_exits_1_and_is_untouched(model, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    done = build(model, "--out", tmp_path / "thesis")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        f"Error: output {tmp_path}/thesis: exists and was not made by this tool\n"
        "  expected: a new or empty folder, or one that holds manifest.json\n"
        "  cure: choose another folder with --out\n"
    )
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_a_place_that_cannot_be_written_exits_1(model):
    # /proc takes no new folders, not even from root.
    done = build(model, "--out", "/proc/engine")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error: output /proc/engine: cannot be written: " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_out_is_not_the_current_folder(model):
    done = build(model, "--out", "")
    assert done.returncode == 2
    assert "is empty: name a folder, '.' for the current one" in done.stderr
