"""The exported file of a typed model, read back: its dtypes are all that TensorRT knows of our decisions."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from onnx import NodeProto, TensorProto
from support.typed import measure

from briges.engines.lowering import is_attention
from briges.engines.onnx_graph import element_types, load_graph, read_by, written_by
from briges.export.exporter import ExportRequest, export_model
from briges.runtime.sidecar import read_model

FLOAT, HALF, BFLOAT = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16


@dataclasses.dataclass(frozen=True, eq=False)
class Typed:
    """A graph with what is asked of it again and again."""

    folder: Path
    model: onnx.ModelProto
    types: dict[str, int]

    @property
    def nodes(self) -> list[NodeProto]:
        return list(self.model.graph.node)

    def types_of(self, node: NodeProto) -> set[int]:
        """Of everything it reads and writes, shapes and axes left out."""
        return {self.types[name] for name in (*node.input, *node.output) if name} - {TensorProto.INT64}


def opened(folder: Path) -> Typed:
    model = load_graph(folder / "model.onnx")
    return Typed(folder, model, element_types(model))


@pytest.fixture(scope="module")
def plugin(typed_tiny: Path) -> Typed:
    return opened(typed_tiny)


@pytest.fixture(scope="module")
def native(native_typed_tiny: Path) -> Typed:
    return opened(native_typed_tiny)


@pytest.fixture(scope="module")
def plain(plain_typed_tiny: Path) -> Typed:
    return opened(plain_typed_tiny)


@pytest.fixture(params=["plugin", "native", "plain"])
def typed(request: pytest.FixtureRequest) -> Typed:
    return request.getfixturevalue(request.param)


def is_temperature(typed: Typed, name: str) -> bool:
    return any(is_attention(node) and node.input[3] == name for node in typed.nodes)


def path_of(node: NodeProto) -> str:
    return node.name.rpartition("/")[0]


def cores(typed: Typed) -> Iterator[list[NodeProto]]:
    """Each attention core, from the first product over the softmax to the last, with what lies between."""
    nodes = typed.nodes
    made, read = written_by(nodes), read_by(nodes)
    for node in nodes:
        if node.op_type == "Softmax":
            core = [node]
            while core[0].op_type != "MatMul":
                assert core[0].op_type in ("Softmax", "Add"), f"{core[0].op_type} inside {node.name}"
                core.insert(0, nodes[made[core[0].input[0]]])
            (after,) = read[node.output[0]]
            yield [*core, nodes[after]]


# Types


def test_pixels_come_as_uint8_and_depth_leaves_as_float32(typed):
    assert {item.name: typed.types[item.name] for item in typed.model.graph.input} == {
        "image": TensorProto.UINT8,
        "semantic_image": TensorProto.UINT8,
    }
    assert {item.name: typed.types[item.name] for item in typed.model.graph.output} == {"depth": FLOAT}


def test_every_norm_and_the_last_convolution_are_in_float32(typed):
    norms = [node for node in typed.nodes if node.op_type == "LayerNormalization"]
    assert len(norms) == 2 * 4 + 4 + 2 * 2 + 4 * 5
    first, last = (node for node in typed.nodes if node.op_type == "Conv" and "output_conv2" in node.name)
    assert typed.types_of(first) == {HALF}
    for node in [*norms, last]:
        assert typed.types_of(node) == {FLOAT}, node.name


def test_every_attention_core_is_one_dtype_without_a_cast(native, plain):
    for typed in (native, plain):
        found = list(cores(typed))
        assert len(found) == 4 + 2 + 2 * 4
        for core in found:
            assert core[-1].op_type == "MatMul"
            assert set().union(*(typed.types_of(node) for node in core)) == {HALF}, [node.name for node in core]


def test_every_attention_node_is_half_but_for_its_temperature(plugin):
    found = [node for node in plugin.nodes if is_attention(node)]
    assert len(found) == 4 + 2 + 2 * 4
    for node in found:
        kinds = [plugin.types[name] for name in (*node.input, *node.output)]
        assert kinds.pop(3) == FLOAT
        assert set(kinds) == {HALF}


def test_a_bias_matrix_is_added_in_windows_and_in_a_global_block_only_if_plain(native, plain):
    for typed, expected in (
        (native, ["semantic.blocks.0.attn"]),
        (plain, ["semantic.blocks.0.attn", "semantic.blocks.1.attn"]),
    ):
        assert [path_of(core[0]) for core in cores(typed) if len(core) == 4] == expected
        assert {len(core) for core in cores(typed)} == {3, 4}


def test_weights_are_in_half_but_for_the_islands_and_what_normalises_pixels(typed):
    islands = {decision.part for decision in read_model(typed.folder).decisions if decision.dtype == "fp32"}
    readers = read_by(typed.nodes)
    counts: Counter[int] = Counter()
    for tensor in typed.model.graph.initializer:
        if tensor.data_type == TensorProto.INT64 or is_temperature(typed, tensor.name):
            continue
        counts[tensor.data_type] += 1
        for index in readers[tensor.name]:
            path = path_of(typed.nodes[index])
            inside = path == "" or any(f"{path}.".startswith(f"{island}.") for island in islands)
            assert tensor.data_type == (FLOAT if inside else HALF), (tensor.name, path)
    norms, last, pixels = 2 * (2 * 4 + 1 + 2 * 2 + 4 * 5), 2, 2
    assert counts[FLOAT] == norms + last + pixels
    assert counts[HALF] > 100
    assert set(counts) == {FLOAT, HALF}


def test_half_the_precision_is_half_the_file(typed, tiny_model):
    ratio = (typed.folder / "model.onnx.data").stat().st_size / (tiny_model / "model.onnx.data").stat().st_size
    assert 0.49 < ratio < 0.51


def test_pixels_are_normalised_in_float32_and_cast_once_per_image(typed):
    front = [node for node in typed.nodes if path_of(node) == ""]
    assert Counter(node.op_type for node in front) == {"Cast": 4, "Transpose": 2, "Sub": 2, "Mul": 2}
    for node in front:
        if node.op_type != "Cast":
            assert typed.types_of(node) == {FLOAT}


def test_casts_stand_at_islands_and_at_the_pixels_only(typed):
    islands = {decision.part for decision in read_model(typed.folder).decisions if decision.dtype == "fp32"}
    found = Counter(path_of(node) for node in typed.nodes if node.op_type == "Cast")
    assert set(found) == islands | {""}
    # The final norm of the geometry encoder runs at each of four taps. Norms of one tensor share their first cast.
    most = dict.fromkeys(islands, 2) | {"": 4, "geometry.norm": 2 * 4, "head.scratch.output_conv2.2": 1}
    assert all(count <= most[path] for path, count in found.items())


def test_the_tensors_between_the_parts_of_a_split_model_are_in_half(typed):
    for name in ("geometry_features_1", "geometry_features_4", "semantic_features"):
        assert typed.types[name] == HALF


def test_bf16_is_typed_alike_but_for_the_transposed_convolutions(bfloat_tiny, plugin):
    bfloat = opened(bfloat_tiny)
    islands = [
        {decision.part for decision in read_model(folder).decisions if decision.dtype == "fp32"}
        for folder in (bfloat_tiny, plugin.folder)
    ]
    assert islands[0] - islands[1] == {"head.resize_layers.0", "head.resize_layers.1"}
    assert islands[1] - islands[0] == set()
    assert {t for t in bfloat.types.values() if t in (HALF, BFLOAT)} == {BFLOAT}


def test_an_attention_that_is_an_island_is_one_whole(tmp_path):
    def far_out(model) -> None:
        for attention in (model.gates[2].self_block.attn, model.semantic.blocks[1].attn):
            attention.qkv.weight.mul_(1000)

    measured = measure(far_out)
    measured.write(measured.type(), tmp_path / "model")
    typed = opened(tmp_path / "model")
    islands = {"gates.2.self_block.attn", "semantic.blocks.1.attn"}
    assert islands <= {decision.part for decision in measured.decide() if decision.dtype == "fp32"}
    for core in cores(typed):
        expected = FLOAT if path_of(core[1]) in islands else HALF
        assert set().union(*(typed.types_of(node) for node in core)) == {expected}, path_of(core[1])


def test_a_temperature_input_is_divided_by_in_float32(tmp_path):
    options = {"temperature": "dynamic", "precision": "fp16", "attention": "native", "verify": False}
    export_model(ExportRequest("briges-tiny", 7, ((28, 28),), **options), tmp_path / "model", lambda step: None)
    typed = opened(tmp_path / "model")
    assert typed.types["temperature"] == FLOAT
    constant = {tensor.name for tensor in typed.model.graph.initializer}
    constant |= {node.output[0] for node in typed.nodes if node.op_type == "Constant"}
    scalars, reached = {"temperature"}, []
    for node in typed.nodes:
        moving = set(node.input) - constant
        if moving and moving <= scalars:
            scalars |= set(node.output)
            if node.op_type != "Cast":
                assert typed.types_of(node) == {FLOAT}, node.name
        elif moving & scalars:
            reached.append((node.op_type, typed.types_of(node) == {HALF}))
    assert reached == [("Mul", True)] * 8


def test_a_temperature_input_is_what_the_nodes_of_the_gates_read(tmp_path):
    request = ExportRequest("briges-tiny", 7, ((28, 28),), temperature="dynamic", precision="fp16", verify=False)
    export_model(request, tmp_path / "model", lambda step: None)
    found = [node for node in opened(tmp_path / "model").nodes if is_attention(node)]
    assert {path_of(node).partition(".")[0] for node in found if node.input[3] == "temperature"} == {"gates"}
    assert sum(node.input[3] == "temperature" for node in found) == 8
