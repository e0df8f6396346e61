"""Parts of a graph: which nodes belong together, and that an attention core is never divided."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto, helper
from support.toy_network import BLOCKS, PARTS, write_toy

from briges.engines.blocks import core_of, parts_of
from briges.engines.onnx_graph import load_graph
from briges.runtime.contracts import PLUGIN_NAME
from briges.runtime.sidecar import read_model


@pytest.fixture
def toy(tmp_path: Path) -> ModelProto:
    write_toy(tmp_path / "toy", "fp16")
    return load_graph(tmp_path / "toy" / "model.onnx")


def operators(model: ModelProto, members: tuple[int, ...]) -> list[str]:
    return [model.graph.node[index].op_type for index in members]


def test_every_node_belongs_to_one_part_and_the_parts_follow_the_network(toy):
    parts = parts_of(toy, PARTS)
    assert tuple(parts) == ("model", *_in_network_order())
    assert sorted(index for members in parts.values() for index in members) == list(range(len(toy.graph.node)))


def _in_network_order() -> list[str]:
    order = ["geometry.patch_embed"]
    for block in BLOCKS:
        order += [f"{block}.norm1", f"{block}.attn", block, f"{block}.norm2", f"{block}.mlp"]
    return [*order, "head"]


def test_a_modules_inner_layers_belong_to_the_part_that_is_named(toy):
    parts = parts_of(toy, PARTS)
    assert operators(toy, parts["geometry.blocks.1.mlp"]) == ["MatMul", "Relu", "MatMul"]
    assert operators(toy, parts["geometry.blocks.1"]) == ["Add", "Add"]
    alone = parts_of(toy, ())
    assert {"geometry.blocks.1.mlp.fc1", "geometry.blocks.1.mlp", "geometry.blocks.1.mlp.fc2"} <= alone.keys()


def test_a_node_without_a_path_belongs_where_its_input_was_computed(toy):
    (transpose, _) = (index for index, node in enumerate(toy.graph.node) if node.op_type == "Transpose")
    assert toy.graph.node[transpose].name.startswith("/")
    assert transpose in parts_of(toy, PARTS)["geometry.blocks.0.attn"]
    assert operators(toy, parts_of(toy, PARTS)["model"]) == ["Cast", "Mul", "Reshape", "Cast"]


def test_a_core_is_the_scaling_both_products_and_what_stands_between(toy):
    softmax = next(index for index, node in enumerate(toy.graph.node) if node.op_type == "Softmax")
    found = sorted(toy.graph.node[index].op_type for index in core_of(toy.graph.node, softmax))
    assert found == ["MatMul", "MatMul", "Mul", "Softmax", "Transpose"]


def test_a_core_stays_whole_even_if_every_node_claims_another_module(toy):
    for index, node in enumerate(toy.graph.node):
        node.name = f"module.{index}/{node.op_type}"
    parts = parts_of(toy, ())
    for softmax in (index for index, node in enumerate(toy.graph.node) if node.op_type == "Softmax"):
        assert set(parts[f"module.{softmax}"]) == core_of(toy.graph.node, softmax)


def test_a_bias_on_the_logits_and_what_makes_it_belong_to_the_core():
    nodes = [
        helper.make_node("Mul", ["q", "s"], ["qs"]),
        helper.make_node("MatMul", ["qs", "k"], ["logits"]),
        helper.make_node("MatMul", ["q", "rows"], ["by_row"]),
        helper.make_node("Reshape", ["by_row", "sides"], ["bias"]),
        helper.make_node("Add", ["logits", "bias"], ["biased"]),
        helper.make_node("Softmax", ["biased"], ["weights"]),
        helper.make_node("MatMul", ["weights", "v"], ["context"]),
        helper.make_node("MatMul", ["context", "w"], ["projected"]),
    ]
    assert core_of(nodes, 5) == set(range(7))


def test_a_softmax_outside_an_attention_is_alone():
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Softmax", ["c"], ["y"])]
    assert core_of(nodes, 1) == {1}


@pytest.mark.parametrize("attention", ["typed_tiny", "native_typed_tiny"])
def test_the_parts_of_a_real_export_are_those_of_its_precision_table(request, attention):
    folder = request.getfixturevalue(attention)
    spec = read_model(folder)
    model = load_graph(folder / spec.graphs[0].file)
    parts = parts_of(model, {decision.part for decision in spec.decisions})
    table = {decision.part for decision in spec.decisions}
    # The sums of an encoder before its first block are nobody's; inputs and output are the model's.
    assert parts.keys() - table == {"model", "geometry", "semantic"}
    for part, members in parts.items():
        cores = sum(name in ("Softmax", PLUGIN_NAME) for name in operators(model, members))
        assert cores == (1 if part.endswith(".attn") else 0)
    casts = [node for node in model.graph.node if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT16]
    assert len(casts) > 10
