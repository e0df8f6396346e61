"""The Bridging Gate, its temperature and the semantic alignment against a second implementation in float64."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from support.gate_reference import gate_reference, pooled_reference, refined_reference
from support.parity import CLEARLY_DIFFERENT, TIGHT, assert_parity, relative_error
from support.seeded import noise, seeded_part

from briges.export.gates import BridgingGate, CrossAttention, SemanticAligner, fold_temperature

HEADS = 16


def seeded_gate(width: int) -> BridgingGate:
    return seeded_part(lambda: BridgingGate(width, HEADS))


def streams(width: int, count: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    return noise(batch, count, width, seed=1), noise(batch, count, width, seed=2)


@pytest.mark.parametrize(("width", "head_dim"), [(768, 48), (1024, 64), (384, 24)])
@pytest.mark.parametrize("count", [1, 63, 117])
def test_a_gate_matches_the_second_implementation(width, head_dim, count):
    assert width // HEADS == head_dim
    gate = seeded_gate(width)
    depth, semantic = streams(width, count, batch=2)
    assert_parity(gate(depth, semantic), gate_reference(gate, depth, semantic, HEADS), TIGHT)


def test_a_gate_matches_at_the_token_count_of_518x518():
    gate = seeded_gate(384)
    depth, semantic = streams(384, 37 * 37)
    assert_parity(gate(depth, semantic), gate_reference(gate, depth, semantic, HEADS), TIGHT)


def test_a_gate_keeps_the_epsilon_of_its_norms():
    gate = seeded_gate(384)
    depth, semantic = (1e-3 * stream for stream in streams(384, 35))  # as large as the epsilon once squared
    assert_parity(gate(depth, semantic), gate_reference(gate, depth, semantic, HEADS), TIGHT)


def test_a_gate_keeps_the_two_streams_apart():
    gate = seeded_gate(384)
    depth, semantic = streams(384, 35)
    fused = gate(depth, semantic)
    assert relative_error(gate(semantic, depth), fused) > CLEARLY_DIFFERENT
    assert relative_error(gate(depth, noise(1, 35, 384, seed=3)), fused) > CLEARLY_DIFFERENT


@pytest.mark.parametrize("tau", [0.5, 1.0, 3.0])
def test_the_temperature_input_matches_the_second_implementation(tau):
    gate = seeded_gate(768)
    depth, semantic = streams(768, 63)
    fused = gate(depth, semantic, torch.tensor([tau]))
    assert_parity(fused, gate_reference(gate, depth, semantic, HEADS, (tau, tau)), TIGHT)


def test_a_temperature_of_one_is_the_trained_gate():
    gate = seeded_gate(384)
    depth, semantic = streams(384, 35)
    assert torch.equal(gate(depth, semantic, torch.tensor([1.0])), gate(depth, semantic))


def test_the_temperature_changes_the_output():
    gate = seeded_gate(768)
    depth, semantic = streams(768, 63)
    assert relative_error(gate(depth, semantic, torch.tensor([3.0])), gate(depth, semantic)) > CLEARLY_DIFFERENT


@pytest.mark.parametrize("tau", [0.5, 3.0])
def test_a_folded_temperature_equals_the_input(tau):
    gate = seeded_gate(768)
    depth, semantic = streams(768, 63)
    asked = gate(depth, semantic, torch.tensor([tau]))
    fold_temperature(gate, tau, tau)
    assert_parity(gate(depth, semantic), asked, TIGHT)


def test_two_folded_temperatures_reach_their_own_attention():
    gate = seeded_gate(768)
    depth, semantic = streams(768, 63)
    expected = gate_reference(gate, depth, semantic, HEADS, (3.0, 1.5))
    swapped = gate_reference(gate, depth, semantic, HEADS, (1.5, 3.0))
    fold_temperature(gate, 3.0, 1.5)
    fused = gate(depth, semantic)
    assert_parity(fused, expected, TIGHT)
    assert relative_error(fused, swapped) > CLEARLY_DIFFERENT


def test_folding_leaves_keys_and_values_alone():
    gate = seeded_gate(384)
    before = {name: value.clone() for name, value in gate.state_dict().items()}
    fold_temperature(gate, 3.0, 1.5)
    changed = {name for name, value in gate.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {
        "cross_block.attn.query.weight",
        "cross_block.attn.query.bias",
        "self_block.attn.qkv.weight",
        "self_block.attn.qkv.bias",
    }
    assert torch.equal(gate.self_block.attn.qkv.weight[384:], before["self_block.attn.qkv.weight"][384:])
    assert torch.equal(gate.self_block.attn.qkv.bias[384:], before["self_block.attn.qkv.bias"][384:])


@pytest.mark.parametrize("site", ["cross", "self"])
def test_attention_flattens_as_the_temperature_rises(site):
    gate = seeded_gate(384)
    depth, semantic = streams(384, 35)
    attention = gate.cross_block.attn if site == "cross" else gate.self_block.attn
    if isinstance(attention, CrossAttention):
        values = attention.key_value(semantic)[..., 384:]
    else:
        values = attention.qkv(depth)[..., 2 * 384 :]
    flat = attention.proj(values.mean(dim=1, keepdim=True)).expand(1, 35, 384)  # every key weighs the same

    distances = []
    for tau in (0.5, 1.0, 3.0, 10.0, 1000.0):
        inputs = (depth, semantic) if site == "cross" else (depth,)
        distances.append(relative_error(attention(*inputs, torch.tensor([tau])), flat))
    assert all(nearer < farther / 1.2 for farther, nearer in pairwise(distances)), distances
    assert distances[0] > 1
    assert distances[-1] < CLEARLY_DIFFERENT


@pytest.mark.parametrize(("side", "grid"), [(64, (37, 37)), (64, (37, 49)), (16, (9, 9)), (64, (5, 3)), (4, (7, 5))])
def test_the_pooled_semantic_map_matches_the_formula(side, grid):
    semantic = noise(2, 6, side, side)
    aligned = SemanticAligner(6, grid, "pool")(semantic)
    expected = torch.from_numpy(pooled_reference(semantic.numpy(), grid))
    assert len(aligned) == 4
    for tokens in aligned:
        assert tokens.shape == (2, grid[0] * grid[1], 6)
        assert_parity(tokens, expected)


@pytest.mark.parametrize(("side", "grid"), [(64, (37, 49)), (16, (9, 9))])
def test_the_convolved_semantic_maps_match_the_formula_gate_by_gate(side, grid):
    aligner = seeded_part(lambda: SemanticAligner(6, grid, "conv"))
    semantic = noise(2, 6, side, side)
    weights = {name: value.double().numpy() for name, value in aligner.state_dict().items()}
    assert set(weights) == {f"seg_refine.{gate}.{layer}.weight" for gate in range(4) for layer in (1, 3)}
    aligned = aligner(semantic)
    assert len(aligned) == 4
    for gate, tokens in enumerate(aligned):
        first, second = (weights[f"seg_refine.{gate}.{layer}.weight"] for layer in (1, 3))
        assert tokens.shape == (2, grid[0] * grid[1], 6)
        assert_parity(tokens, torch.from_numpy(refined_reference(semantic.numpy(), grid, first, second)))


def test_the_convolved_semantic_maps_differ_from_gate_to_gate():
    aligned = seeded_part(lambda: SemanticAligner(6, (9, 9), "conv"))(noise(1, 6, 16, 16))
    for one, other in pairwise(aligned):
        assert relative_error(one, other) > CLEARLY_DIFFERENT
