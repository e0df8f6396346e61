"""`briges export` from end to end, interrupted, on a full disk, and asked for nonsense."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from support.checkpoints import checkpoint, gate_shapes, hollow, save, weights_of
from support.in_process import run_briges

from briges.export.parity import whole_model
from briges.export.presets import PRESETS, find_preset
from briges.runtime.agreement import LIMITS, headroom
from briges.runtime.onnx_backend import OnnxBackend, open_sessions
from briges.runtime.photographs import photograph_feeds
from briges.runtime.sidecar import ModelSpec, SourceFile, read_model

BRIGES = Path(sys.executable).with_name("briges")
TINY = ("export", "briges-tiny", "--random-weights", "0")
SMALLEST = ("export", "depth-anything-v2-s", "--random-weights", "0", "--height", "28", "--width", "28")


def depth_of(folder: Path, spec: ModelSpec) -> np.ndarray:
    """What a model folder makes of the first photograph."""
    engines = (whole_model(spec, spec.graphs[0]),)
    backend = OnnxBackend(engines, open_sessions(folder, engines, "cpu", None))
    for name, array in photograph_feeds(spec, spec.graphs[0])[0].items():
        backend.inputs[name][...] = array
    backend.run()
    depth = backend.output.copy()
    backend.close()
    return depth


# From end to end


@pytest.fixture(scope="module")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory):
    """The weights of ``tiny_model`` as a training run stores them."""
    path = tmp_path_factory.mktemp("checkpoint") / "BriGeS.pth"
    preset = find_preset("briges-tiny")
    stored = {f"module.{key}": value for key, value in checkpoint(preset, "v2", weights_of(preset, seed=7)).items()}
    yield save({"model_state_dict": stored, "optimizer_state_dict": {"state": {}}}, path)
    path.unlink()  # 100 MB


def test_a_checkpoint_becomes_a_checked_model_with_the_depth_of_its_weights(tmp_path, tiny_checkpoint, tiny_model):
    out = tmp_path / "new" / "model"
    answer = run_briges("export", "briges-tiny", "--checkpoint", tiny_checkpoint, "--precision", "fp32", "--out", out)
    assert answer.code == 0, answer.err
    spec, same_weights = read_model(out), read_model(tiny_model)
    source = spec.weights.files[0]
    assert source == SourceFile("checkpoint", "BriGeS.pth", source.sha256, None)
    assert (spec.weights.random_seed, spec.weights.layout, spec.weights.licence) == (
        None,
        "v2",
        "your checkpoint's own, on top of Apache-2.0",
    )
    assert np.array_equal(depth_of(out, spec), depth_of(tiny_model, same_weights))
    first, cost, second = answer.out.splitlines()
    assert first == f"{out}: briges-tiny, 126x126, fp32, opset 18, your checkpoint's own, on top of Apache-2.0"
    assert cost == f"{out}: attention: left to the plugin (all), or to what `briges build --attention` says"
    assert spec.graphs[0].agreement is not None
    told = headroom(spec.graphs[0].agreement, LIMITS["fp32"])
    assert second == f"{out}: 126x126: fp32 PyTorch against ONNX Runtime on 2 photographs: {told}"
    assert "of 1e-04 allowed" in told
    assert "WARNING" not in answer.err
    assert answer.err.splitlines()[0] == "reading weights …"
    assert sorted(path.name for path in out.parent.iterdir()) == ["model"]


def test_an_unchecked_random_model_is_loud_about_both(dynamic_export):
    answer = dynamic_export.answer
    first = answer.out.splitlines()[0]
    assert first == f"{dynamic_export.folder}: briges-tiny, 112x140, fp32, opset 18, none: random weights"
    assert "PyTorch" not in answer.out
    assert "WARNING: RANDOM WEIGHTS (seed 7)" in answer.err
    assert "WARNING: UNVERIFIED: this model was exported with --no-verify" in answer.err
    assert "photograph" not in answer.err


def test_the_help_lists_every_preset():
    answer = run_briges("export", "--help")
    assert answer.code == 0
    assert all(name in "".join(answer.out.split()) for name in PRESETS)  # lines break inside the names


# Asked for nonsense


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["briges-tiny"], "Error: weights: no weights\n  expected: --checkpoint FILE or --random-weights SEED"),
        (["briges-tiny", "--checkpoint", "a.pth", "--random-weights", "0"], "both --checkpoint and --random-weights"),
        (["briges-v9", "--random-weights", "0"], "Error: preset: 'briges-v9'"),
        ([], "Missing argument 'PRESET'"),
        (["briges-tiny", "--random-weights", "0", "--precision", "fp8"], "'fp8' is not one of 'fp32', 'fp16', 'bf16'"),
        (["briges-tiny", "--random-weights", "0", "--input", "uint16"], "'uint16' is not one of 'uint8', 'float32'"),
        (["briges-tiny", "--random-weights", "zero"], "'zero' is not a valid integer range"),
        (["briges-tiny", "--random-weights", str(2**64)], "is not in the range 0<=x<=4294967295"),
        (["briges-tiny", "--random-weights", "0", "--depth-weights", "a.pth"], "would leave them unread"),
        (["briges-tiny", "--random-weights", "0", "--height", "127"], "cure: use 126 instead of 127"),
        (["briges-tiny", "--random-weights", "0", "--height", "0"], "cure: use 28 instead of 0"),
        (["briges-tiny", "--random-weights", "0", "--attention", "flash"], "'flash' is not one of 'plugin', 'native'"),
        (["briges-tiny", "--random-weights", "0", "--size", "126"], "'126' is not HEIGHTxWIDTH in pixels"),
        (["briges-tiny", "--random-weights", "0", "--size", "126x127"], "cure: use 126 instead of 127"),
        (["briges-tiny", "--random-weights", "0", "--batch", "0"], "Error: batch: 0"),
        (["briges-tiny", "--random-weights", "0", "--taps", "a,b"], "Error: --taps: 'a,b'"),
        (["briges-tiny", "--random-weights", "0", "--taps", "3,2,1,0"], "four increasing block numbers from 0 to 3"),
        (["briges-tiny", "--random-weights", "0", "--temperature", "hot"], "Error: --temperature: 'hot'"),
        (["depth-anything-v2-s", "--random-weights", "0", "--temperature", "3"], "3 for a preset without Bridging"),
        (["briges-tiny", "--random-weights", "0", "--colour"], "No such option"),
    ],
    ids=lambda value: "-".join(value[-2:]) if isinstance(value, list) else "",
)
def test_a_wrong_request_exits_2_and_writes_nothing(tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    answer = run_briges("export", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err
    assert list(tmp_path.rglob("*.*")) == []


def test_gates_alone_exit_2_and_ask_for_the_public_files(tmp_path):
    path = save(hollow(gate_shapes(384)), tmp_path / "gates.pth")
    answer = run_briges("export", "briges-tiny", "--checkpoint", path, "--out", tmp_path / "model")
    assert answer.code == 2
    assert f"Error: checkpoint {path}: holds the Bridging Gates alone" in answer.err
    assert "cure: add --depth-weights FILE; `briges fetch` downloads the public files" in answer.err
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "does not exist"), (b"", "is empty"), (b"<html></html>", "is damaged, or no file of torch.save")],
    ids=["missing", "empty", "html"],
)
def test_a_bad_weight_file_exits_1_with_its_name_and_a_cure(tmp_path, content, told):
    path = tmp_path / "BriGeS.pth"
    if content is not None:
        path.write_bytes(content)
    answer = run_briges("export", "briges-tiny", "--checkpoint", path, "--out", tmp_path / "model")
    assert answer.code == 1
    assert f"Error: weight file {path}: {told}" in answer.err
    assert "  cure: " in answer.err
    assert not (tmp_path / "model").exists()


def test_weights_of_something_else_exit_1_and_show_a_key(tmp_path):
    path = save({"layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "resnet.pth")
    answer = run_briges("export", "briges-tiny", "--checkpoint", path, "--out", tmp_path / "model")
    assert answer.code == 1
    assert "has keys of no known model, such as 'layer1.0.conv1.weight'" in answer.err


def test_a_foreign_out_folder_exits_1_and_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    answer = run_briges(*TINY, "--out", tmp_path)
    assert answer.code == 1
    assert f"Error: output {tmp_path}: exists and was not made by this tool" in answer.err
    assert "choose another folder with --out" in answer.err
    assert [(path.name, path.read_text()) for path in tmp_path.rglob("*")] == [("thesis.tex", "years of work")]


# Stopped half-way


def test_ctrl_c_while_tracing_leaves_nothing_and_tells_it_shortly(tmp_path):
    command = [BRIGES, *TINY, "--no-verify", "--out", tmp_path / "model"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("tracing 126x126 to ONNX"):
                break
        assert [path.name[:7] for path in tmp_path.iterdir()] == [".model."]  # there is something to leave behind
        time.sleep(0.5)  # well inside the tracing, which takes many seconds
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert told.strip() == "Interrupted: what was finished is kept, nothing is left half-written."
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing_and_says_where_it_was_full(tmp_path):
    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    ran = subprocess.run(
        [BRIGES, *SMALLEST, "--no-verify", "--out", tmp_path / "model"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        preexec_fn=limit_files,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert ran.returncode == 1
    assert f"Error: output {tmp_path / 'model'}: cannot be written: File too large" in ran.stderr
    assert "expected: a writable place with enough free space" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []
