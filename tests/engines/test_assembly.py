"""From graphs to engine files in a folder, and errors in the names that users know."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnxruntime
import pytest
import tensorrt_rtx
from support.building import SILENT
from support.stub_bundle import write_stub_model

from briges.engines.assembly import Assembled, assemble_engines, called
from briges.engines.attention_choice import Choice
from briges.engines.onnx_graph import load_graph
from briges.engines.parts import part_graphs
from briges.engines.spec import EngineSpec
from briges.runtime.errors import BuildError, OutputError
from briges.runtime.files import sha256_of
from briges.runtime.sidecar import ModelSpec, read_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_stub_model(tmp_path / "model", sizes=((56, 70), (70, 56)))


def assemble(model: Path, folder: Path, spec: EngineSpec) -> tuple[Assembled, ModelSpec]:
    sidecar = read_model(model)
    graphs = {graph.size: load_graph(model / graph.file) for graph in sidecar.graphs}
    folder.mkdir()
    parts = part_graphs(sidecar, graphs, split=False)
    return assemble_engines(
        parts, model, sidecar, spec, folder, folder.with_name("log"), SILENT, Choice("native")
    ), sidecar


def test_for_onnx_runtime_the_graphs_are_copied_byte_for_byte_with_one_file_of_weights(model, tmp_path):
    assembled, sidecar = assemble(model, tmp_path / "out", EngineSpec("onnxruntime"))
    assert (assembled.flavour_version, assembled.compute_capabilities) == (onnxruntime.__version__, ())
    graphs = {graph.file for graph in sidecar.graphs}
    assert {engine.file for engine in assembled.engines} == graphs
    weights = {name for name in sidecar.files if name.endswith(".data")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == graphs | weights
    for path in (tmp_path / "out").iterdir():
        assert sha256_of(path) == sidecar.files[path.name]
        assert (path.stat().st_nlink, path.is_symlink()) == (1, False)
    assert [engine.onnx_sha256 for engine in assembled.engines] == [sidecar.files[e.file] for e in assembled.engines]
    assert not (tmp_path / "log").exists()


def test_for_tensorrt_there_is_a_plan_per_graph_and_nothing_else(model, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    spec = EngineSpec("tensorrt-rtx", compute_capabilities=("8.9",))
    assembled, sidecar = assemble(model, tmp_path / "out", spec)
    assert (assembled.flavour_version, assembled.compute_capabilities) == (tensorrt_rtx.__version__, ("8.9",))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model-56x70.plan", "model-70x56.plan"]
    for engine, graph in zip(assembled.engines, sidecar.graphs, strict=True):
        assert engine.onnx_sha256 == sidecar.files[graph.file]
        assert (engine.size, engine.file) == (graph.size, f"model-{graph.size}.plan")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_errors_speak_of_the_folder_that_users_know():
    temporary, name = Path("/tmp/briges-x1"), Path("build/model")
    told = {"came": "/tmp/briges-x1/model.onnx is no file", "expected": "a file", "cure": "look at /tmp/briges-x1"}
    with pytest.raises(BuildError) as caught, called(temporary, name):
        raise BuildError(subject="engine of /tmp/briges-x1/model.onnx", **told)
    assert str(caught.value) == (
        "engine of build/model/model.onnx: build/model/model.onnx is no file\n"
        "  expected: a file\n"
        "  cure: look at build/model"
    )


def test_other_errors_pass_as_they_are():
    error = OutputError(subject="output build/engine", came="no", expected="yes", cure="more")
    for raised in (error, KeyboardInterrupt()):
        with pytest.raises(type(raised)) as caught, called(Path("/tmp/briges-x1"), Path("model")):
            raise raised
        assert caught.value is raised
