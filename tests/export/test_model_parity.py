"""Whole networks: ungated against transformers' Depth Anything, gated against the references put together."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.gate_reference import gate_reference, pooled_reference
from support.hf_reference import (
    depth_anything_config,
    depth_anything_reference,
    dinov2_reference,
    head_reference,
    sam_reference,
)
from support.parity import CLEARLY_DIFFERENT, TOLERANCE, assert_parity, relative_error
from support.position_reference import offset_scales, resize_positions
from support.seeded import noise, seeded_model
from transformers import DepthAnythingForDepthEstimation

from briges.export.gates import fold_temperature
from briges.export.model import DepthModel
from briges.export.presets import PRESETS, find_preset

# Public figures, everything a checkpoint stores included: the encoders of facebookresearch/dinov2, the totals of
# DepthAnything/Depth-Anything-V2 (24.8 M, 97.5 M, 335.3 M), segment-anything's encoders without their necks.
GEOMETRY_STORED = {384: 22_056_576, 768: 86_580_480, 1024: 304_368_640}
HEAD_STORED = {384: 2_728_513, 768: 10_890_305, 1024: 30_947_009}
SEMANTIC_STORED = {768: 88_883_456, 1024: 307_425_280}
GATES_STORED = {768: 56_709_120, 1024: 100_777_984}
PUBLISHED = [name for name in PRESETS if name != "briges-tiny"]
SMALL = (126, 154)  # 9 x 11 patches
# What neither a parameter count nor a reference configured from the same preset can tell: head counts and taps, from
# config.json of the public Depth Anything and SAM ports. Taps count from 1 there, 0 being the patch embedding.
HEADS = {384: 6, 768: 12, 1024: 16}
OUT_INDICES = {
    ("v1", 12): [9, 10, 11, 12],
    ("v1", 24): [21, 22, 23, 24],
    ("v2", 12): [3, 6, 9, 12],
    ("v2", 24): [5, 12, 18, 24],
}
GLOBAL_BLOCKS = {768: (2, 5, 8, 11), 1024: (5, 11, 17, 23)}


@pytest.mark.parametrize(
    "preset", ["depth-anything-v1-s", "depth-anything-v2-s", "depth-anything-v1-b", "depth-anything-v2-b"]
)
def test_depth_matches_transformers_at_518x518(preset):
    model = seeded_model(preset, 518, 518)
    image = noise(1, 3, 518, 518)
    depth = model(image)
    assert depth.shape == (1, 1, 518, 518)
    assert (depth > 0).float().mean() > 0.99
    assert_parity(depth, depth_anything_reference(model)(image).predicted_depth[:, None])


def test_the_two_versions_differ_in_their_taps():
    image = noise(1, 3, *SMALL)
    version_1, version_2 = (seeded_model(f"depth-anything-{version}-s", *SMALL)(image) for version in ("v1", "v2"))
    assert relative_error(version_1, version_2) > CLEARLY_DIFFERENT


@pytest.mark.parametrize("tau", [None, 3.0])
def test_gated_depth_matches_the_references_put_together(tau):
    model = seeded_model("briges-tiny", *SMALL)
    depth_image, semantic_image = noise(2, 3, *SMALL), noise(2, 3, 256, 256, seed=2)
    temperature = None if tau is None else torch.tensor([tau])
    depth = model(depth_image, semantic_image, temperature)
    assert depth.shape == (2, 1, *SMALL)
    assert_parity(depth, gated_reference(model, depth_image, semantic_image, tau or 1.0))


def test_the_temperature_reaches_the_depth():
    model = seeded_model("briges-tiny", *SMALL)
    images = noise(1, 3, *SMALL), noise(1, 3, 256, 256, seed=2)
    asked = model(*images, torch.tensor([3.0]))
    assert relative_error(asked, model(*images)) > CLEARLY_DIFFERENT
    for gate in model.gates:
        fold_temperature(gate, 3.0, 3.0)
    assert_parity(model(*images), asked)


def test_both_images_reach_the_depth():
    model = seeded_model("briges-tiny", *SMALL)
    depth_image, semantic_image = noise(1, 3, *SMALL), noise(1, 3, 256, 256, seed=2)
    depth = model(depth_image, semantic_image)
    assert relative_error(model(depth_image, noise(1, 3, 256, 256, seed=3)), depth) > CLEARLY_DIFFERENT
    assert relative_error(model(noise(1, 3, *SMALL, seed=3), semantic_image), depth) > CLEARLY_DIFFERENT


def test_the_conv_aligner_feeds_each_gate_its_own_map():
    preset = replace(find_preset("briges-tiny"), aligner="conv")
    model = seeded_model(preset, *SMALL)
    images = noise(1, 3, *SMALL), noise(1, 3, 256, 256, seed=2)
    before = model(*images)
    refine = model.aligner.seg_refine
    refine[0], refine[3] = refine[3], refine[0]
    assert relative_error(model(*images), before) > CLEARLY_DIFFERENT


def test_a_depth_map_of_zeros_is_no_parity():
    zeros = torch.zeros(1, 1, 126, 126)
    with pytest.raises(AssertionError, match="the output is zero everywhere"):
        assert_parity(zeros, zeros)


def test_a_constant_depth_map_is_no_parity():
    flat = torch.full((1, 1, 126, 126), 0.1)
    with pytest.raises(AssertionError, match="the output hardly varies along axis 2"):
        assert_parity(flat, flat)


def test_an_error_above_the_tolerance_is_no_parity():
    depth = noise(1, 1, 126, 126)
    off = depth.clone()
    off[0, 0, 60, 60] += 2 * TOLERANCE * depth.abs().max()
    with pytest.raises(AssertionError, match=r"relative error 2\.\d+e-04 exceeds 1e-04"):
        assert_parity(off, depth)


@pytest.mark.parametrize("name", PUBLISHED)
def test_heads_and_taps_are_the_public_ones(name):
    preset = find_preset(name)
    geometry, semantic = preset.geometry, preset.semantic
    assert geometry.heads == HEADS[geometry.width]
    assert [tap + 1 for tap in geometry.taps] == OUT_INDICES[preset.layout, geometry.depth]
    if semantic is not None:
        assert preset.gate_heads == 16
        assert semantic.heads == HEADS[semantic.width]
        assert semantic.global_blocks == GLOBAL_BLOCKS[semantic.width]
        assert (semantic.window, semantic.patch_px, semantic.image_px) == (14, 16, 1024)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_add_up_to_the_public_figures(name):
    preset = find_preset(name)
    width, features = preset.geometry.width, preset.head.features
    with torch.device("meta"):
        model = DepthModel(preset, preset.height_px, preset.width_px)
    mask_token = width  # stored by checkpoints, used by nothing
    coarsest_unit = 2 * (9 * features**2 + features)  # likewise: refinenet4.resConfUnit1
    assert count(model.geometry) + mask_token == GEOMETRY_STORED[width]
    assert count(model.head) + coarsest_unit == HEAD_STORED[width]
    total = GEOMETRY_STORED[width] + HEAD_STORED[width] - mask_token - coarsest_unit
    if preset.gated:
        assert count(model.semantic) == SEMANTIC_STORED[width]
        assert count(model.gates) == GATES_STORED[width]
        assert count(model.aligner) == 0
        total += SEMANTIC_STORED[width] + GATES_STORED[width]
    assert count(model) == total


@pytest.mark.parametrize("name", ["depth-anything-v2-s", "depth-anything-v2-b", "depth-anything-v2-l"])
def test_the_public_figures_are_what_transformers_stores(name):
    preset = find_preset(name)
    with torch.device("meta"):
        reference = DepthAnythingForDepthEstimation(depth_anything_config(preset.geometry, preset.head))
    width = preset.geometry.width
    assert count(reference.backbone) == GEOMETRY_STORED[width]
    assert count(reference) == GEOMETRY_STORED[width] + HEAD_STORED[width]


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def gated_reference(model: DepthModel, depth_image: torch.Tensor, semantic_image: torch.Tensor, tau: float):
    """transformers' encoders and head around the second gates and alignment: no code of ours but the weights."""
    preset = model.preset
    grid = (depth_image.shape[2] // 14, depth_image.shape[3] // 14)
    table = resize_positions(model.geometry.pos_embed.numpy(), 37, grid, offset_scales(37, grid))
    geometry = dinov2_reference(model.geometry, torch.from_numpy(table).float())
    semantic = sam_reference(model.semantic, preset.semantic)
    head = head_reference(model.head, preset.geometry, preset.head)

    semantic_map = semantic(semantic_image, output_hidden_states=True).hidden_states[-1].permute(0, 3, 1, 2)
    tokens = torch.from_numpy(pooled_reference(semantic_map.numpy(), grid))
    fused = []
    for gate, tap in zip(model.gates, geometry(depth_image).feature_maps, strict=True):
        gated = tap.clone()
        gated[:, 1:] = gate_reference(gate, tap[:, 1:], tokens, preset.gate_heads, (tau, tau)).float()
        fused.append(gated)
    return head["head"](head["neck"](fused, *grid), *grid)[:, None]
