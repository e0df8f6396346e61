"""The geometry encoder against transformers' Dinov2, and its position table against a second bicubic."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from support.hf_reference import dinov2_reference
from support.parity import CLEARLY_DIFFERENT, TIGHT, assert_parity, relative_error
from support.position_reference import offset_scales, resize_positions, size_scales
from support.seeded import noise, seeded_part
from torch.nn import functional as F

from briges.export.dinov2 import DinoV2, interpolate_positions
from briges.export.presets import find_preset

SQUARE = (37, 37)  # 518x518, the size the table was trained at
LANDSCAPE = (37, 49)  # 518x686


def seeded_encoder(preset: str, grid: tuple[int, int]) -> DinoV2:
    return seeded_part(lambda: DinoV2(find_preset(preset).geometry, grid))


def image(grid: tuple[int, int], batch: int = 1) -> torch.Tensor:
    return noise(batch, 3, 14 * grid[0], 14 * grid[1])


@pytest.mark.parametrize("preset", ["depth-anything-v1-s", "depth-anything-v2-s", "briges-v2-b"])
def test_all_four_taps_match_transformers_at_518x518(preset):
    encoder = seeded_encoder(preset, SQUARE)
    taps = encoder(image(SQUARE))
    expected = dinov2_reference(encoder)(image(SQUARE)).feature_maps
    for ours, reference in zip(taps, expected, strict=True):
        assert_parity(ours, reference[:, 1:], TIGHT)


def test_all_four_taps_match_transformers_on_a_landscape_grid_given_the_second_table():
    encoder = seeded_encoder("depth-anything-v2-s", LANDSCAPE)
    table = resize_positions(encoder.pos_embed.numpy(), 37, LANDSCAPE, offset_scales(37, LANDSCAPE))
    reference_encoder = dinov2_reference(encoder, torch.from_numpy(table).float())
    expected = reference_encoder(image(LANDSCAPE)).feature_maps
    for ours, reference in zip(encoder(image(LANDSCAPE)), expected, strict=True):
        assert ours.shape == (1, 37 * 49, 384)
        assert_parity(ours, reference[:, 1:], TIGHT)


def test_the_encoder_keeps_the_epsilon_of_its_norms():
    encoder = seeded_encoder("briges-tiny", SQUARE)
    for parameter in (*encoder.patch_embed.parameters(), encoder.cls_token, encoder.pos_embed):
        parameter.mul_(1e-3)  # the tokens' variance is then about the epsilon
    expected = dinov2_reference(encoder)(image(SQUARE)).feature_maps
    for ours, reference in zip(encoder(image(SQUARE)), expected, strict=True):
        assert_parity(ours, reference[:, 1:], TIGHT)


def test_the_four_taps_differ_from_each_other():
    taps = seeded_encoder("briges-tiny", (9, 9))(image((9, 9)))
    for shallow, deep in pairwise(taps):
        assert relative_error(shallow, deep) > CLEARLY_DIFFERENT


def test_images_of_a_batch_do_not_see_each_other():
    encoder = seeded_encoder("briges-tiny", (9, 11))
    pair = image((9, 11), batch=2)
    alone = [encoder(pair[:1]), encoder(pair[1:])]
    for level, ours in enumerate(encoder(pair)):
        assert_parity(ours, torch.cat([taps[level] for taps in alone]))


def test_positions_at_the_trained_size_are_the_stored_table():
    table = noise(1, 1 + 37 * 37, 8)
    assert torch.equal(interpolate_positions(table, 37, SQUARE), table)


@pytest.mark.parametrize("grid", [LANDSCAPE, (49, 37), (37, 55), (9, 9), (37, 128), (1, 2)])
def test_positions_match_a_bicubic_sampled_by_the_scale_factor(grid):
    table = noise(1, 1 + 37 * 37, 64)
    expected = torch.from_numpy(resize_positions(table.numpy(), 37, grid, offset_scales(37, grid)))
    assert_parity(interpolate_positions(table, 37, grid), expected)


@pytest.mark.parametrize("grid", [LANDSCAPE, (37, 55), (37, 128)])
def test_positions_resized_to_a_size_instead_would_be_wrong(grid):
    table = noise(1, 1 + 37 * 37, 64)
    by_size = torch.from_numpy(resize_positions(table.numpy(), 37, grid, size_scales(37, grid)))
    # The second bicubic is a fair judge of this rule as well: it reproduces torch's resize to a size.
    patches = table[:, 1:].reshape(1, 37, 37, 64).permute(0, 3, 1, 2)
    torchs = F.interpolate(patches, size=grid, mode="bicubic").flatten(2).transpose(1, 2)
    assert_parity(torchs, by_size[:, 1:])

    difference = (interpolate_positions(table, 37, grid) - by_size).abs().max()
    assert difference > 0.3  # of a N(0, 1) table


def test_positions_keep_the_class_row():
    table = noise(1, 1 + 37 * 37, 64)
    assert torch.equal(interpolate_positions(table, 37, LANDSCAPE)[:, 0], table[:, 0])


def test_positions_come_out_at_every_grid_up_to_a_4k_image():
    table = noise(1, 1 + 37 * 37, 1)
    for side in range(1, 3840 // 14 + 1):
        assert interpolate_positions(table, 37, (side, 37)).shape == (1, 1 + side * 37, 1)
        assert interpolate_positions(table, 37, (37, side)).shape == (1, 1 + side * 37, 1)
