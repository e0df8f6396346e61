"""Builds that cannot be: one clear error each; the bundle that was there stays as it was, with nothing beside it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from support.altered_models import change_graph
from support.build_process import hashes, hidden, left_in
from support.building import build_for_onnxruntime
from support.commands import MAIN, hide_modules, run_python
from support.commands import run_briges as run_process
from support.in_process import Answer, run_briges
from support.manifests import edit_json
from support.stub_bundle import write_stub_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_stub_model(tmp_path / "model")


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A bundle that every test tries to replace in vain; afterwards looks for what was lost or left behind."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))  # for processes
    build_for_onnxruntime(write_stub_model(tmp_path / "old-model", batch=2), tmp_path / "engine")
    before = hashes(tmp_path / "engine")
    yield tmp_path / "engine"
    assert hashes(tmp_path / "engine") == before
    assert hidden(tmp_path) == [".engine.lock"]
    assert left_in(temporary) == []


def build(model: Path, out: Path, *options: object, flavour: str = "tensorrt-rtx") -> Answer:
    """Build in this process and see it fail."""
    answer = run_briges("build", model, "--out", out, "--flavour", flavour, *map(str, options))
    assert answer.out == ""
    assert "Traceback" not in answer.err
    return answer


def error_of(answer: Answer) -> str:
    """The one error, from its first word on."""
    _, _, error = answer.err.partition("Error: ")
    assert "Error: " not in error
    return error


def with_determinant(model: ModelProto) -> None:
    """Multiply the depth by the determinant of a unit matrix, which TensorRT cannot compute."""
    model.graph.node[-1].output[0] = "before"
    model.graph.initializer.append(numpy_helper.from_array(np.eye(2, dtype=np.float32), "unit"))
    model.graph.node.append(helper.make_node("Det", ["unit"], ["one"], "/stub/determinant"))
    model.graph.node.append(helper.make_node("Mul", ["before", "one"], ["depth"], "/stub/product"))


def with_open_batch(model: ModelProto) -> None:
    """Leave the number of images open."""
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "images"


def with_integer_output(model: ModelProto) -> None:
    """Give the depth in int64, which no engine of ours does."""
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node("Cast", ["before"], ["depth"], "/stub/cast", to=TensorProto.INT64))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64


def test_an_operator_that_tensorrt_does_not_know_is_told_with_its_node_and_the_cure(model, out, tmp_path):
    change_graph(model, with_determinant)
    answer = build(model, out)
    assert answer.code == 1
    assert error_of(answer) == (
        f"engine of {model}/model.onnx: TensorRT cannot parse it:\n"
        "    node /stub/determinant (Det): TensorRT does not support the operator Det\n"
        f"  full log: {tmp_path}/engine.log\n"
        "  expected: operators, types and shapes that TensorRT knows\n"
        "  cure: export the model again with `briges export`, or use --flavour onnxruntime\n"
    )
    assert "Det" in (tmp_path / "engine.log").read_text()


@pytest.mark.parametrize(
    ("change", "flavour", "said"),
    [
        (with_open_batch, "tensorrt-rtx", "its tensor 'image' is UINT8 of shape [-1, 56, 70, 3]"),
        (with_open_batch, "onnxruntime", "tensor 'image' of the model: UINT8 of shape ['images', 56, 70, 3]"),
        (with_integer_output, "onnxruntime", "tensor 'depth' of the model: INT64 of shape [1, 1, 56, 70]"),
    ],
)
def test_a_shape_or_type_no_engine_can_have_is_told(
    model, out, change: Callable[[ModelProto], None], flavour: str, said: str
):
    change_graph(model, change)
    answer = build(model, out, flavour=flavour)
    assert answer.code == 1
    assert said in error_of(answer)
    assert "expected: a fixed shape, and one of " in answer.err
    assert answer.err.endswith("cure: export it with `briges export`, which fixes every size\n")


def test_a_sidecar_with_a_size_of_nothing_is_damaged(model, out):
    (graph,) = json.loads((model / "model.json").read_text())["graphs"]
    graph["inputs"][0]["height_px"] = 0
    edit_json(model / "model.json", graphs=[graph])
    answer = build(model, out)
    assert answer.code == 1
    assert error_of(answer).startswith(f"model folder {model}: model.json is damaged: ")
    assert "input sizes must be positive" in answer.err
    assert answer.err.endswith("cure: export the model again with `briges export`\n")


OPTIONS = {
    "--workspace-bytes 1024": (
        "--workspace-bytes: 1024 bytes\n  expected: at least 1048576 (1 MiB); the number is in bytes\n"
        "  cure: ask for more, such as 1073741824 (1 GiB), or leave it out\n"
    ),
    "--optimization-level 6": (
        "--optimization-level: 6\n  expected: 0 (quick build) to 5 (fast engine)\n"
        "  cure: pick one of these, or leave it out\n"
    ),
    "--timing-cache cache.bin": (
        "--timing-cache: TensorRT-RTX times nothing while it builds: kernels are chosen on the GPU the engine first "
        "runs on\n  expected: an option the flavour has\n  cure: leave it out, or use --flavour tensorrt\n"
    ),
    "--compute-capability 8.6 --compute-capability 8.7": (
        "--compute-capability 8.7: Jetson Orin, which TensorRT-RTX cannot build for\n"
        "  expected: one of 7.5, 8.0, 8.6, 8.9, 12.0, 12.1\n"
        "  cure: build with `--flavour tensorrt` on that device\n"
    ),
    "--compute-capability 8.88": (
        "--compute-capability: '8.88'\n  expected: one of 7.5, 8.0, 8.6, 8.9, 12.0, 12.1\n  cure: did you mean '8.9'?\n"
    ),
    "--repair": (
        "--repair: fp32 for a model exported in fp32\n  expected: a wider precision than the model's own\n"
        "  cure: repair with fp32; a model that fails in fp32 must be exported again\n"
    ),
}


@pytest.mark.parametrize("options", OPTIONS)
def test_an_option_that_cannot_be_exits_2_before_any_work(model, out, options):
    answer = build(model, out, *options.split())
    assert answer.code == 2
    assert error_of(answer) == OPTIONS[options]
    assert "checking" not in answer.err


def test_an_option_of_tensorrt_is_refused_for_onnx_runtime(model, out):
    answer = build(model, out, "--workspace-bytes", 1 << 30, flavour="onnxruntime")
    assert answer.code == 2
    assert error_of(answer) == (
        "--workspace-bytes: ONNX Runtime takes the graph as it is: only TensorRT has this option\n"
        "  expected: an option the flavour has\n"
        "  cure: leave it out, or use --flavour tensorrt or tensorrt-rtx\n"
    )


def test_a_missing_sdk_is_told_before_any_work(model, out, tmp_path):
    hiding = hide_modules(tmp_path / "hiding", ["tensorrt"])
    done = run_process("build", model, "--out", out, "--flavour", "tensorrt", path=[hiding])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: flavour tensorrt: the Python module tensorrt is not installed\n"
        "  expected: the extra [tensorrt]\n"
        "  cure: pip install 'briges-trt[tensorrt]'; on a Jetson, whose system brings TensorRT, "
        "`python3 -m venv --system-site-packages` instead\n"
    )


LIMITED = f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), -1))\n{MAIN}"


@pytest.mark.parametrize(
    ("flavour", "limit_bytes", "told"),
    [
        ("onnxruntime", 200, "output {out}: cannot be written: File too large\n"),
        ("tensorrt-rtx", 100_000, "output {out}/model.plan: cannot be written: File too large\n  full log: "),
        ("tensorrt-rtx", 200, "temporary files: cannot be written: File too large\n"),
    ],
)
def test_a_disk_that_takes_no_more_is_told(model, out, flavour, limit_bytes, told):
    done = run_python(LIMITED, limit_bytes, "build", model, "--out", out, "--flavour", flavour)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"\nError: {told.format(out=out)}" in done.stderr
    assert done.stderr.count("Error: ") == 1


@pytest.mark.usefixtures("out")
def test_a_foreign_folder_is_refused_before_the_gate_and_not_after_minutes(model, tmp_path):
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.tex").write_text("years of work")
    answer = build(model, thesis)
    assert answer.code == 1
    assert error_of(answer).startswith(f"output {thesis}: exists and was not made by this tool\n")
    assert "checking" not in answer.err
    assert (thesis / "chapter.tex").read_text() == "years of work"
    (tmp_path / ".thesis.lock").unlink()


@pytest.mark.usefixtures("out")
def test_a_bundle_whose_manifest_is_no_json_is_not_replaced(model, tmp_path):
    broken = tmp_path / "broken"
    build_for_onnxruntime(model, broken)
    (broken / "manifest.json").write_text('{"schema_version": 2, "fil')
    answer = build(model, broken)
    assert answer.code == 1
    assert "exists and its manifest.json was not made by this tool, or is damaged\n" in error_of(answer)
    assert (broken / "model.onnx").exists()
    (tmp_path / ".broken.lock").unlink()


def test_a_log_inside_the_bundle_or_the_model_folder_is_refused(model, out):
    for log in (out / "build.log", model / "deep" / "build.log"):
        answer = build(model, out, "--log-file", log)
        assert answer.code == 2
        assert error_of(answer).startswith(f"--log-file {log}: lies in ")
        assert not log.exists()


@pytest.mark.parametrize("name", ["", "somewhere"])
def test_a_folder_as_a_log_is_refused_before_any_work(model, out, tmp_path, monkeypatch, name):
    (tmp_path / "somewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    answer = build(model, out, "--log-file", name)  # the empty name is how scripts give an unset variable
    assert answer.code == 2
    assert error_of(answer).startswith(f"--log-file {name or '.'}: is a folder\n")
    assert "checking" not in answer.err


@pytest.mark.usefixtures("out")
def test_the_root_of_the_file_system_is_no_bundle(model):
    answer = build(model, Path("/"))
    assert answer.code == 2
    assert error_of(answer).startswith("--out /: is the root of the file system\n")
