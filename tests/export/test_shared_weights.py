"""Graphs of several sizes beside one file of weights, and what happens where they do not share them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.photographs import photograph

from briges.export.exporter import ExportRequest, export_model
from briges.export.parity import whole_model
from briges.export.shared_weights import save_sharing_weights
from briges.runtime.onnx_backend import OnnxBackend, open_sessions
from briges.runtime.sidecar import read_model

WIDTH = 32  # 32 x 32 float32 weights are 4 KB: large enough to lie beside the graph


def small_graph(rows: int, seed: int) -> onnx_ir.Model:
    """The input x [rows, 32] @ weights + a table of that many rows, which belongs to the size."""
    rng = np.random.default_rng(seed)
    weights = [
        numpy_helper.from_array(rng.standard_normal((WIDTH, WIDTH), np.float32), "weights"),
        numpy_helper.from_array(np.ones((rows, WIDTH), np.float32), "model.geometry.positions"),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["product"], name="product"),
        helper.make_node("Add", ["product", "model.geometry.positions"], ["y"], name="sum"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, WIDTH]) for name in "xy"]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], weights)
    return onnx_ir.serde.deserialize_model(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    )


def run(path: Path, rows: int) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": np.eye(rows, WIDTH, dtype=np.float32)})
    return np.asarray(result)


def locations(path: Path) -> set[str]:
    """Files in which a graph looks for its weights."""
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}


def test_two_sizes_of_the_same_weights_share_one_file(tmp_path):
    for rows in (5, 9):
        save_sharing_weights(small_graph(rows, seed=0), tmp_path / f"model-{rows}.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model-5.onnx", "model-9.onnx", "model.onnx.data"]
    assert (tmp_path / "model.onnx.data").stat().st_size == WIDTH * WIDTH * 4
    # A row of the identity reads a row of the weights, and the table adds 1.
    assert np.array_equal(run(tmp_path / "model-9.onnx", 9)[:5], run(tmp_path / "model-5.onnx", 5))


def test_other_weights_go_to_a_file_of_their_own_and_leave_the_shared_one(tmp_path):
    save_sharing_weights(small_graph(5, seed=0), tmp_path / "model-5.onnx")
    shared = (tmp_path / "model.onnx.data").read_bytes()
    save_sharing_weights(small_graph(9, seed=1), tmp_path / "model-9.onnx")
    assert locations(tmp_path / "model-5.onnx") == {"model.onnx.data"}
    assert locations(tmp_path / "model-9.onnx") == {"model-9.onnx.data"}
    assert (tmp_path / "model.onnx.data").read_bytes() == shared
    assert not np.allclose(run(tmp_path / "model-9.onnx", 9)[:5], run(tmp_path / "model-5.onnx", 5))


def test_what_belongs_to_the_size_stays_inside_the_graph(tmp_path):
    save_sharing_weights(small_graph(20, seed=0), tmp_path / "model.onnx")
    tensors = onnx.load(tmp_path / "model.onnx", load_external_data=False).graph.initializer
    assert {tensor.name: bool(tensor.external_data) for tensor in tensors} == {
        "weights": True,
        "model.geometry.positions": False,
    }
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)


# The real thing


@pytest.fixture(scope="module")
def sized_half_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """briges-tiny in fp16 at two of the smallest sizes, checked."""
    folder = tmp_path_factory.mktemp("sized-half") / "model"
    request = ExportRequest("briges-tiny", 7, ((28, 28), (28, 42)), precision="fp16")
    export_model(request, folder, lambda step: None)
    return folder


def test_a_model_of_two_sizes_holds_its_weights_once(sized_tiny, tiny_model):
    spec = read_model(sized_tiny)
    graphs = ["model-126x126.onnx", "model-126x168.onnx"]
    assert [graph.file for graph in spec.graphs] == graphs
    assert [graph.size for graph in spec.graphs] == ["126x126", "126x168"]
    assert sorted(spec.files) == [*graphs, "model.onnx.data"]
    alone = (tiny_model / "model.onnx.data").stat().st_size
    assert (sized_tiny / "model.onnx.data").stat().st_size == pytest.approx(alone, rel=0.01)
    for name in graphs:
        assert locations(sized_tiny / name) == {"model.onnx.data"}
        assert (sized_tiny / name).stat().st_size < 1e6


def test_each_size_of_it_computes_what_a_model_of_that_size_alone_computes(sized_tiny, tiny_model):
    depths = []
    for folder in (sized_tiny, tiny_model):
        spec = read_model(folder)
        engines = (whole_model(spec, spec.graphs[0]),)
        backend = OnnxBackend(engines, open_sessions(folder, engines, "cpu", None))
        for name in ("image", "semantic_image"):
            height, width = backend.inputs[name].shape[1:3]
            backend.inputs[name][0] = photograph("square")[:height, :width]
        backend.run()
        depths.append(backend.output.copy())
        backend.close()
    assert depths[0].shape == (1, 1, 126, 126)
    assert np.ptp(depths[1]) > 1
    # One has its temperature as an input, 1.0, the other folded.
    assert np.abs(depths[0] - depths[1]).max() / depths[1].max() < 1e-5


def test_one_table_of_decisions_types_all_sizes_alike(sized_half_tiny):
    spec = read_model(sized_half_tiny)
    types = []
    for graph in spec.graphs:
        tensors = onnx.load(sized_half_tiny / graph.file, load_external_data=False).graph.initializer
        types.append({tensor.name: tensor.data_type for tensor in tensors if tensor.external_data})
        assert graph.agreement is not None
        assert graph.agreement.photographs == 2
        assert graph.agreement.finite
    assert types[0] == types[1]
    assert set(types[0].values()) == {TensorProto.FLOAT, TensorProto.FLOAT16}
    assert sorted(spec.files) == ["model-28x28.onnx", "model-28x42.onnx", "model.onnx.data", "reference.npz"]
