"""The semantic encoder against transformers' SAM and, for the two easy mistakes, against one window written out."""

from __future__ import annotations

import math

import pytest
import torch
from support.hf_reference import sam_reference
from support.parity import CLEARLY_DIFFERENT, TIGHT, assert_parity, assert_varies, relative_error
from support.seeded import noise, seeded_part
from torch import Tensor

from briges.export.presets import SemanticSpec, find_preset
from briges.export.sam import RelativeAttention, SamEncoder

TINY = find_preset("briges-tiny").semantic
BASE = find_preset("briges-v2-b").semantic
# 5 windows of 3 do not fill a grid of 13: the last ones are padded, as 70 pads 64 at the real size.
SMALL = SemanticSpec(width=48, depth=3, heads=3, global_blocks=(1,), window=3, image_px=13 * 16)


def seeded_encoder(spec: SemanticSpec) -> SamEncoder:
    return seeded_part(lambda: SamEncoder(spec))


def pre_neck(encoder: SamEncoder, spec: SemanticSpec, image: Tensor) -> Tensor:
    """What transformers' SAM holds before its neck, [B, C, grid, grid]."""
    return sam_reference(encoder, spec)(image, output_hidden_states=True).hidden_states[-1].permute(0, 3, 1, 2)


@pytest.mark.parametrize(("spec", "batch"), [(BASE, 1), (TINY, 2), (SMALL, 2)], ids=["ViT-B", "tiny", "small"])
def test_the_map_before_the_neck_matches_transformers(spec, batch):
    encoder = seeded_encoder(spec)
    image = noise(batch, 3, spec.image_px, spec.image_px)
    ours = encoder(image)
    assert ours.shape == (batch, spec.width, spec.grid, spec.grid)
    assert_parity(ours, pre_neck(encoder, spec, image), TIGHT)


def test_the_encoder_keeps_the_epsilon_of_its_norms():
    encoder = seeded_encoder(SMALL)
    for parameter in (*encoder.patch_embed.parameters(), encoder.pos_embed):
        parameter.mul_(1e-3)  # the tokens' variance is then about the epsilon
    image = noise(1, 3, SMALL.image_px, SMALL.image_px)
    assert_parity(encoder(image), pre_neck(encoder, SMALL, image), TIGHT)


def test_relative_positions_change_the_map():
    encoder = seeded_encoder(SMALL)
    image = noise(1, 3, SMALL.image_px, SMALL.image_px)
    with_tables = encoder(image)
    for attention in attentions(encoder):
        assert attention.rel_pos_h.abs().min() > 0
        assert relative_error(attention.rel_pos_h, attention.rel_pos_w) > CLEARLY_DIFFERENT
        attention.rel_pos_h.zero_()
        attention.rel_pos_w.zero_()
    assert relative_error(encoder(image), with_tables) > CLEARLY_DIFFERENT


def test_rows_and_columns_use_their_own_table():
    encoder = seeded_encoder(SMALL)
    image = noise(1, 3, SMALL.image_px, SMALL.image_px)
    before = encoder(image)
    for attention in attentions(encoder):
        attention.rel_pos_h, attention.rel_pos_w = attention.rel_pos_w, attention.rel_pos_h
    assert relative_error(encoder(image), before) > CLEARLY_DIFFERENT


def test_tokens_of_the_window_padding_are_attended_to():
    block = seeded_encoder(SMALL).blocks[0]
    tokens = noise(1, SMALL.grid, SMALL.grid, SMALL.width)
    assert SMALL.grid % SMALL.window
    ours = block._windowed(tokens)
    assert_parity(ours, windows_written_out(block.attn, tokens[0]), TIGHT)
    assert relative_error(ours, windows_written_out(block.attn, tokens[0], mask_padding=True)) > CLEARLY_DIFFERENT


def test_relative_positions_multiply_the_unscaled_query():
    block = seeded_encoder(SMALL).blocks[0]
    tokens = noise(1, SMALL.grid, SMALL.grid, SMALL.width)
    ours = block._windowed(tokens)
    assert_parity(ours, windows_written_out(block.attn, tokens[0]), TIGHT)
    assert relative_error(ours, windows_written_out(block.attn, tokens[0], scale_relative=True)) > CLEARLY_DIFFERENT


def test_a_window_sees_nothing_outside_itself():
    block = seeded_encoder(SMALL).blocks[0]
    tokens = noise(1, 13, 13, SMALL.width)
    changed = tokens.clone()
    changed[0, 4, 4] += noise(SMALL.width, seed=2)
    difference = (block(changed) - block(tokens)).abs().amax(dim=3)[0]
    touched = torch.zeros(13, 13, dtype=torch.bool)
    touched[3:6, 3:6] = True  # the window of 3 that holds row 4, column 4
    assert (difference[~touched] == 0).all()
    assert (difference[touched] > 1e-4).all()


def test_a_global_block_sees_the_whole_map():
    block = seeded_encoder(SMALL).blocks[1]
    tokens = noise(1, 13, 13, SMALL.width)
    changed = tokens.clone()
    changed[0, 0, 0] += noise(SMALL.width, seed=2)
    assert ((block(changed) - block(tokens)).abs().amax(dim=3) > 1e-4).all()


def attentions(encoder: SamEncoder) -> list[RelativeAttention]:
    return [block.attn for block in encoder.blocks]


def windows_written_out(
    attention: RelativeAttention, tokens: Tensor, *, mask_padding: bool = False, scale_relative: bool = False
) -> Tensor:
    """Windowed attention over a map [g, g, C], one window, head and query at a time, in float64: [1, g, g, C].

    Formula: facebookresearch/segment-anything, segment_anything/modeling/image_encoder.py. The two switches are the two
    mistakes.
    """
    layout, (grid, _, width) = attention.layout, tokens.shape
    side, heads = layout.grid_height, layout.num_heads
    size = width // heads
    weights = {name: value.double() for name, value in attention.state_dict().items()}
    padded_side = math.ceil(grid / side) * side
    padded = torch.zeros(padded_side, padded_side, width, dtype=torch.float64)
    padded[:grid, :grid] = tokens
    attended = torch.zeros_like(padded)
    places = [(row, col) for row in range(side) for col in range(side)]
    steps = torch.tensor(places)
    for top in range(0, padded_side, side):
        for left in range(0, padded_side, side):
            window = padded[top : top + side, left : left + side].reshape(side * side, width)
            real = (top + steps[:, 0] < grid) & (left + steps[:, 1] < grid)
            packed = window @ weights["qkv.weight"].T + weights["qkv.bias"]
            context = torch.zeros(side * side, width, dtype=torch.float64)
            for head in range(heads):
                query, key, value = (packed[:, i * width + head * size :][:, :size] for i in range(3))
                for place, (row, col) in enumerate(places):
                    table = weights["rel_pos_h"][row - steps[:, 0] + side - 1]
                    table = table + weights["rel_pos_w"][col - steps[:, 1] + side - 1]
                    relative = table @ query[place] * (size**-0.5 if scale_relative else 1.0)
                    logits = key @ query[place] * size**-0.5 + relative
                    if mask_padding:
                        logits[~real] = -torch.inf
                    context[place, head * size : (head + 1) * size] = logits.softmax(dim=0) @ value
            # A window of nothing but padding has no key left when padding is masked; it is cropped away.
            mixed = context.nan_to_num() @ weights["proj.weight"].T + weights["proj.bias"]
            attended[top : top + side, left : left + side] = mixed.reshape(side, side, width)
    cropped = attended[None, :grid, :grid]
    assert_varies(cropped)
    return cropped
