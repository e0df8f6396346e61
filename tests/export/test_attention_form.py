"""`--attention`: which attentions stay nodes of the operator, what the others are written as, and its price."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
import pytest

from briges.engines.lowering import attention_nodes
from briges.engines.onnx_graph import load_graph
from briges.export.attention_form import check_scope, describe_form
from briges.export.exporter import ExportRequest, export_model
from briges.export.presets import find_preset
from briges.runtime.errors import UsageError
from briges.runtime.sidecar import AttentionForm, read_model

TINY = find_preset("briges-tiny")
TINY_ATTENTION = "semantic.blocks.1.attn/"  # its only global block


def places(folder: Path) -> list[str]:
    """Whose attentions are still nodes of the operator."""
    return [item.node.name.partition(".")[0] for item in attention_nodes(load_graph(folder / "model.onnx"))]


def test_by_default_every_attention_is_one_node(typed_tiny):
    assert read_model(typed_tiny).attention == AttentionForm("plugin", "all", "plugin", "plugin", 0.0)
    assert places(typed_tiny) == ["geometry"] * 4 + ["semantic"] * 2 + ["gates"] * 8


@pytest.mark.parametrize(
    ("scope", "left", "windowed", "global_"),
    [("gates", ["gates"] * 8, "bias", "channels"), ("semantic", ["semantic"] * 2, "plugin", "plugin")],
)
def test_a_scope_leaves_the_rest_native(tmp_path, scope, left, windowed, global_):
    request = ExportRequest("briges-tiny", 7, precision="fp16", scope=scope)
    spec = export_model(request, tmp_path / "model", lambda step: None)
    assert places(tmp_path / "model") == left
    form = spec.attention
    assert (form.scope, form.windowed, form.global_) == (scope, windowed, global_)
    assert (form.extra_gflop > 0) == (scope == "gates")
    assert spec.graphs[0].agreement is not None, "what the mixture gives was compared with PyTorch"


def test_native_and_plain_models_have_no_node_of_it(native_typed_tiny, plain_typed_tiny):
    for folder in (native_typed_tiny, plain_typed_tiny):
        assert places(folder) == []
        model = load_graph(folder / "model.onnx")
        assert not model.functions
        assert [item.domain for item in model.opset_import] == [""]


def test_the_node_finds_its_weights_in_the_packed_projection(typed_tiny):
    found = {item.node.name.rpartition("/")[0]: item for item in attention_nodes(load_graph(typed_tiny / "model.onnx"))}
    packed = found["geometry.blocks.0.attn"]
    assert len(set(packed.node.input[:3])) == 1
    assert (packed.layout.key_offset, packed.layout.value_offset) == (384, 768)
    cross = found["gates.0.cross_block.attn"]
    query, key, value, *_ = cross.node.input
    assert query != key == value
    assert (cross.layout.num_heads, cross.layout.head_dim, cross.layout.value_offset) == (16, 24, 384)
    windows = found["semantic.blocks.0.attn"]
    assert (windows.batch, windows.queries, windows.layout.grid_height) == (4, 196, 14)


@pytest.mark.parametrize(("lowering", "preset"), [("native", "briges-tiny"), ("plugin", "depth-anything-v2-s")])
def test_a_scope_that_leaves_nothing_is_refused(lowering, preset):
    with pytest.raises(UsageError, match="--plugin-scope gates"):
        check_scope(lowering, "gates", find_preset(preset))
    check_scope(lowering, "all", find_preset(preset))


# What is reported


def test_native_uses_channels_where_they_save_memory_and_plain_never_does():
    assert describe_form("plain", "all", TINY) == AttentionForm("plain", None, "bias", "bias", 0.0)
    native = describe_form("native", "all", TINY)
    assert (native.windowed, native.global_) == ("bias", "channels")
    for lowering in ("native", "plain"):
        ungated = describe_form(lowering, "all", find_preset("depth-anything-v2-s"))
        assert ungated == AttentionForm(lowering, None, None, None, 0.0)


def test_the_price_of_the_base_model_is_that_of_four_global_blocks():
    # 4 blocks, 12 heads, 2 products of 4096 x 4096 with 128 more channels, 2 operations each.
    by_hand = 4 * 12 * 2 * 2 * 4096**2 * 128 / 1e9
    assert describe_form("native", "all", find_preset("briges-v2-b")).extra_gflop == pytest.approx(by_hand)
    assert by_hand == pytest.approx(412, abs=1)


def products(folder: Path) -> dict[str, tuple[list[int], list[int]]]:
    """Node name -> shapes of the two factors of every matrix product of the graph."""
    model = onnx.shape_inference.infer_shapes(
        onnx.load(folder / "model.onnx", load_external_data=False), data_prop=True
    )
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    shapes = {value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim] for value in values}
    shapes |= {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    return {
        node.name: (shapes[node.input[0]], shapes[node.input[1]])
        for node in model.graph.node
        if node.op_type == "MatMul"
    }


def flop(folder: Path) -> int:
    return sum(2 * math.prod(left) * right[-1] for left, right in products(folder).values())


def test_the_price_is_what_the_products_of_the_two_graphs_differ_by(native_typed_tiny, plain_typed_tiny):
    reported = read_model(native_typed_tiny).attention.extra_gflop
    assert reported > 0
    assert flop(native_typed_tiny) - flop(plain_typed_tiny) == pytest.approx(reported * 1e9, rel=1e-9)


def test_query_key_and_value_of_a_native_global_block_agree_in_head_size(native_typed_tiny, plain_typed_tiny):
    def core(folder: Path) -> list[tuple[list[int], list[int]]]:
        """The two products over all 256 tokens."""
        found = [pair for name, pair in products(folder).items() if name.startswith(TINY_ATTENTION)]
        return [(left, right) for left, right in found if 256 in (left[-1], right[-1]) and len(left) == 4]

    (query, key), (weights, value) = core(native_typed_tiny)
    assert (query, key) == ([1, 6, 256, 96], [1, 6, 96, 256])
    assert (weights, value) == ([1, 6, 256, 256], [1, 6, 256, 96])
    (query, key), (weights, value) = core(plain_typed_tiny)
    assert (query[-1], key[-2], value[-1]) == (64, 64, 64)


def test_natively_no_bias_of_all_tokens_by_all_tokens_is_ever_made(native_typed_tiny, plain_typed_tiny):
    def squares(folder: Path) -> list[str]:
        """Operators of the global block whose result has 6 x 256 x 256 numbers."""
        model = onnx.shape_inference.infer_shapes(
            onnx.load(folder / "model.onnx", load_external_data=False), data_prop=True
        )
        count = {
            value.name: math.prod(axis.dim_value for axis in value.type.tensor_type.shape.dim)
            for value in model.graph.value_info
        }
        return [
            node.op_type
            for node in model.graph.node
            if node.name.startswith(TINY_ATTENTION) and count.get(node.output[0]) == 6 * 256 * 256
        ]

    assert squares(native_typed_tiny) == ["MatMul", "Softmax"]
    assert squares(plain_typed_tiny).count("Add") == 2  # rows with columns, and both onto the logits
