"""SAM's relative positions as extra channels: the same numbers as the bias matrix, without the matrix, at its price."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
import pytest
import torch
from support.parity import assert_parity, assert_varies, relative_error
from support.seeded import noise, seeded_part

from briges.export.attention_form import describe_form, relative_form
from briges.export.presets import SemanticSpec, find_preset
from briges.export.sam import RelativeAttention, RelativeForm, SamEncoder, wide_head_dim
from briges.runtime.sidecar import AttentionForm, read_model

WIDTH, HEADS = 128, 2  # heads of 64, as every published SAM has
TINY_ATTENTION = "semantic.blocks.1.attn/"  # its only global block


def both_forms(side: int, heads: int = HEADS) -> tuple[RelativeAttention, RelativeAttention]:
    """The same weights in both forms: the literal one, and channels."""
    plain, native = (
        seeded_part(lambda channels=channels: RelativeAttention(WIDTH, heads, side, channels=channels))
        for channels in (False, True)
    )
    assert plain.rel_pos_h.abs().min() > 0
    assert relative_error(plain.rel_pos_h, plain.rel_pos_w) > 0.1
    return plain, native


# Measured up to 6e-7; another order of summation.
@pytest.mark.parametrize("side", [14, 16, 13, 5, 2])
def test_both_forms_give_the_same(side):
    plain, native = both_forms(side)
    tokens = noise(2, side * side, WIDTH)
    with torch.no_grad():
        assert_parity(native(tokens), plain(tokens), 1e-6)
        # And in float64 the difference goes: it is rounding.
        assert relative_error(native.double()(tokens.double()), plain.double()(tokens.double())) < 1e-14


def test_head_sizes_that_are_no_multiple_of_8_are_padded_to_one():
    plain, native = both_forms(side=5, heads=4)  # heads of 32: 32 + 2 * 5 = 42 becomes 48
    assert wide_head_dim(32, 5) == 48
    tokens = noise(1, 25, WIDTH)
    with torch.no_grad():
        assert_parity(native(tokens), plain(tokens), 1e-6)


def test_channels_need_the_tables_too():
    _, native = both_forms(side=5)
    tokens = noise(1, 25, WIDTH)
    with torch.no_grad():
        before = native(tokens)
        native.rel_pos_h.zero_()
        assert relative_error(native(tokens), before) > 0.01
        native.rel_pos_w.zero_()
        assert_varies(native(tokens))


# The grid of 9 is filled up to windows of 4: padding is attended to in both forms.
@pytest.mark.parametrize("windowed", ["bias", "channels"])
@pytest.mark.parametrize("global_", ["bias", "channels"])
def test_every_mixture_of_forms_is_the_same_encoder(windowed, global_):
    spec = SemanticSpec(width=48, depth=3, heads=2, global_blocks=(1,), window=4, image_px=9 * 16)
    image = noise(1, 3, spec.image_px, spec.image_px)
    literal = seeded_part(lambda: SamEncoder(spec))
    other = seeded_part(lambda: SamEncoder(spec, RelativeForm(windowed, global_)))
    assert [block.attn.channels for block in other.blocks] == [
        form == "channels" for form in (windowed, global_, windowed)
    ]
    assert_parity(other(image), literal(image), 1e-5)


@pytest.mark.parametrize(("head_dim", "side", "wide"), [(64, 64, 192), (64, 14, 96), (80, 64, 208), (64, 16, 96)])
def test_the_wide_head_is_the_next_multiple_of_8(head_dim, side, wide):
    assert wide_head_dim(head_dim, side) == wide
    assert wide % 8 == 0
    assert 0 <= wide - head_dim - 2 * side < 8


# What is reported


def test_native_uses_channels_where_they_save_memory_and_plain_never_does():
    assert relative_form("native") == RelativeForm(windowed="bias", global_="channels")
    assert relative_form("plain") == RelativeForm(windowed="bias", global_="bias")
    tiny = find_preset("briges-tiny")
    assert describe_form("plain", tiny) == AttentionForm("plain", "bias", "bias", 0.0)
    for lowering in ("native", "plain"):
        ungated = describe_form(lowering, find_preset("depth-anything-v2-s"))
        assert ungated == AttentionForm(lowering, None, None, 0.0)


def test_the_price_of_the_base_model_is_that_of_four_global_blocks():
    # 4 blocks, 12 heads, 2 products of 4096 x 4096 with 128 more channels, 2 operations each.
    by_hand = 4 * 12 * 2 * 2 * 4096**2 * 128 / 1e9
    assert describe_form("native", find_preset("briges-v2-b")).extra_gflop == pytest.approx(by_hand)
    assert by_hand == pytest.approx(412, abs=1)


def products(folder: Path) -> dict[str, tuple[list[int], list[int]]]:
    """Node name -> shapes of the two factors of every matrix product of the graph."""
    model = onnx.shape_inference.infer_shapes(onnx.load(folder / "model.onnx", load_external_data=False))
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


def test_the_price_is_what_the_products_of_the_two_graphs_differ_by(typed_tiny, plain_typed_tiny):
    reported = read_model(typed_tiny).attention.extra_gflop
    assert reported > 0
    assert flop(typed_tiny) - flop(plain_typed_tiny) == pytest.approx(reported * 1e9, rel=1e-9)


def test_query_key_and_value_of_a_native_global_block_agree_in_head_size(typed_tiny, plain_typed_tiny):
    def core(folder: Path) -> list[tuple[list[int], list[int]]]:
        """The two products over all 256 tokens."""
        found = [pair for name, pair in products(folder).items() if name.startswith(TINY_ATTENTION)]
        return [(left, right) for left, right in found if 256 in (left[-1], right[-1]) and len(left) == 4]

    (query, key), (weights, value) = core(typed_tiny)
    assert (query, key) == ([1, 6, 256, 96], [1, 6, 96, 256])
    assert (weights, value) == ([1, 6, 256, 256], [1, 6, 256, 96])
    (query, key), (weights, value) = core(plain_typed_tiny)
    assert (query[-1], key[-2], value[-1]) == (64, 64, 64)


def test_natively_no_bias_of_all_tokens_by_all_tokens_is_ever_made(typed_tiny, plain_typed_tiny):
    def squares(folder: Path) -> list[str]:
        """Operators of the global block whose result has 6 x 256 x 256 numbers."""
        model = onnx.shape_inference.infer_shapes(onnx.load(folder / "model.onnx", load_external_data=False))
        count = {
            value.name: math.prod(axis.dim_value for axis in value.type.tensor_type.shape.dim)
            for value in model.graph.value_info
        }
        return [
            node.op_type
            for node in model.graph.node
            if node.name.startswith(TINY_ATTENTION) and count.get(node.output[0]) == 6 * 256 * 256
        ]

    assert squares(typed_tiny) == ["MatMul", "Softmax"]
    assert squares(plain_typed_tiny).count("Add") == 2  # rows with columns, and both onto the logits
