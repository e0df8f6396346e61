"""Parts of a half graph put into a wider type: what changes, and above all what does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto
from support.toy_network import BLOCKS, OVERFLOW, PARTS, write_toy

from briges.engines.blocks import parts_of
from briges.engines.onnx_graph import ELEMENT_TYPES, HALF_TYPES, element_types, load_graph
from briges.engines.onnx_run import open_graph
from briges.engines.promote import promoted
from briges.engines.rounding import emulated
from briges.runtime import contracts
from briges.runtime.agreement import Precision

FEED = {contracts.IMAGE: np.random.default_rng(0).integers(0, 256, (1, 56, 70, 3), np.uint8)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_toy(tmp_path / "toy", "fp16", mlp1=OVERFLOW)
    return tmp_path / "toy"


def put(folder: Path, *names: str, dtype: Precision = "fp32") -> tuple[ModelProto, ModelProto]:
    """The graph as it is, and with the parts ``names`` in ``dtype``."""
    model = load_graph(folder / contracts.MODEL_FILE)
    parts = parts_of(model, PARTS)
    return model, promoted(model, [index for name in names for index in parts[name]], dtype)


def depth(model: ModelProto, folder: Path) -> np.ndarray:
    return open_graph(emulated(model), folder, literal=True)(FEED)[contracts.DEPTH]


def untouched(nodes: list[NodeProto]) -> dict[str, bytes]:
    return {node.name: node.SerializeToString() for node in nodes}


def test_the_part_computes_in_float32_and_nothing_else_changes(folder):
    model, made = put(folder, "geometry.blocks.1.mlp")
    before, after = untouched(model.graph.node), untouched(made.graph.node)
    changed = {name for name in before if before[name] != after[name]}
    assert len(changed) == 5
    assert {name.rpartition("/")[0] for name in changed} == {
        "geometry.blocks.1.mlp",
        "geometry.blocks.1.mlp.fc1",
        "geometry.blocks.1.mlp.fc2",
    }
    added = [node for node in made.graph.node if node.name not in before]
    assert {node.op_type for node in added} == {"Cast"}
    # In: the tokens, two weights and the fault's two numbers. Out: the branch.
    assert sorted(node.attribute[0].i for node in added) == [TensorProto.FLOAT] * 5 + [TensorProto.FLOAT16]
    types = element_types(made)
    for node in made.graph.node:
        if node.name in changed:
            assert {types[name] for name in (*node.input, *node.output)} == {TensorProto.FLOAT}


def test_weights_stay_in_their_file_as_they_are(folder):
    model, made = put(folder, *PARTS)
    assert made.graph.initializer == model.graph.initializer
    assert any(weight.data_location == TensorProto.EXTERNAL for weight in made.graph.initializer)


def test_an_overflow_in_the_part_is_mended(folder):
    model, made = put(folder, "geometry.blocks.1.mlp")
    assert not np.isfinite(depth(model, folder)).any()
    assert np.isfinite(depth(made, folder)).all()
    _, elsewhere = put(folder, "geometry.blocks.0.mlp")
    assert not np.isfinite(depth(elsewhere, folder)).any()


def test_between_neighbours_nothing_is_cast_and_an_overflow_may_pass(tmp_path):
    write_toy(tmp_path / "toy", "fp16", stream=OVERFLOW)
    for alone in BLOCKS:
        assert not np.isfinite(depth(put(tmp_path / "toy", alone)[1], tmp_path / "toy")).any()
    _, together = put(tmp_path / "toy", *BLOCKS)
    assert np.isfinite(depth(together, tmp_path / "toy")).all()


def test_an_island_behind_a_part_reads_what_the_part_wrote_in_float32(folder):
    model, made = put(folder, "geometry.blocks.0")
    norm = next(node for node in model.graph.node if node.name.startswith("geometry.blocks.0.norm2/"))
    assert norm.op_type == "Cast"
    (rewired,) = (node for node in made.graph.node if node.name == norm.name)
    assert rewired.input[0] == f"{norm.input[0]}/fp32"


def test_every_part_in_float32_leaves_half_to_the_weights_alone(folder):
    _, made = put(folder, "model", *PARTS)
    types = element_types(made)
    assert not {name for node in made.graph.node for name in node.output if types[name] in HALF_TYPES}
    assert np.array_equal(depth(made, folder), open_graph(made, folder, literal=True)(FEED)[contracts.DEPTH])


def test_bf16_has_the_range_for_an_overflow_of_fp16(folder):
    _, made = put(folder, "geometry.blocks.1.mlp", dtype="bf16")
    types = element_types(made)
    inner = [node for node in made.graph.node if node.name.startswith("geometry.blocks.1.mlp")]
    computing = {types[name] for node in inner if node.op_type != "Cast" for name in node.output}
    assert computing == {ELEMENT_TYPES["bf16"]}
    assert np.isfinite(depth(made, folder)).all()


def test_the_result_is_a_valid_graph_and_the_given_one_stays_as_it_was(folder):
    given = load_graph(folder / contracts.MODEL_FILE)
    before = given.SerializeToString()
    for names in (["geometry.blocks.1.mlp"], ["head"], ["model"], list(PARTS)):
        parts = parts_of(given, PARTS)
        made = promoted(given, [index for name in names for index in parts[name]], "fp32")
        onnx.save(made, folder / "made.onnx")
        onnx.checker.check_model(str(folder / "made.onnx"), full_check=True)
    assert given.SerializeToString() == before


def test_no_part_is_no_change(folder):
    model, made = put(folder)
    assert made == model
