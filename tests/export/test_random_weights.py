"""Random weights that a comparison can be trusted with: reproducible, alive in every layer, a depth that varies."""

from __future__ import annotations

import pytest
import torch
from support.parity import CLEARLY_DIFFERENT, assert_varies, relative_error
from support.seeded import noise, seeded_model
from torch import Tensor, nn

from briges.export import attention
from briges.export.model import DepthModel
from briges.export.random_weights import randomise

SIZE = (126, 126)
PRESETS = ["briges-tiny", "depth-anything-v1-s", "depth-anything-v2-s"]


def run(model: DepthModel, seed: int = 1) -> Tensor:
    depth_image = noise(1, 3, *SIZE, seed=seed)
    return model(depth_image, noise(1, 3, 256, 256, seed=seed + 1)) if model.preset.gated else model(depth_image)


def test_the_same_seed_gives_the_same_weights():
    first, second = (seeded_model("briges-tiny", *SIZE, seed=3).state_dict() for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_another_seed_gives_other_weights_everywhere():
    first, second = (seeded_model("briges-tiny", *SIZE, seed=seed).state_dict() for seed in (3, 4))
    fixed = {"head.scratch.output_conv2.2.bias"}  # keeps the depth above zero
    same = {name for name, value in first.items() if torch.equal(value, second[name])}
    assert same == fixed


def test_the_input_size_does_not_change_the_weights():
    first, second = (seeded_model("briges-tiny", *size).state_dict() for size in (SIZE, (140, 168)))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_weights_do_not_depend_on_what_was_there_before():
    model = seeded_model("briges-tiny", *SIZE)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for parameter in model.parameters():
        parameter.fill_(torch.nan)
    randomise(model, 0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    seeded_model("briges-tiny", *SIZE)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_depth_varies_and_is_positive(preset, seed):
    depth = run(seeded_model(preset, *SIZE, seed=seed))
    assert_varies(depth)
    assert depth.std() / depth.mean() > 0.1
    assert (depth > 0).float().mean() > 0.99


@pytest.mark.parametrize("preset", PRESETS)
def test_another_image_gives_another_depth(preset):
    model = seeded_model(preset, *SIZE)
    assert relative_error(run(model, seed=1), run(model, seed=5)) > CLEARLY_DIFFERENT


@pytest.mark.parametrize("preset", PRESETS)
def test_no_layer_is_dead_or_runs_away(preset):
    model = seeded_model(preset, *SIZE)
    spreads: dict[str, float] = {}

    def record(name: str):
        return lambda _module, _inputs, output: spreads.update({name: float(output.std())})

    leaves = [
        (name, module)
        for name, module in model.named_modules()
        if not list(module.children()) and not isinstance(module, nn.ModuleList)
    ]
    for name, module in leaves:
        module.register_forward_hook(record(name))
    run(model)
    assert set(spreads) == {name for name, _ in leaves}
    assert {name: spread for name, spread in spreads.items() if not 0.02 < spread < 50} == {}


def test_attention_chooses_without_collapsing(monkeypatch):
    choices: list[float] = []
    attend = attention.attend

    def record(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        logits = query @ key.transpose(-2, -1) + (0 if bias is None else bias)
        chances = logits.softmax(dim=-1)
        entropy = -(chances * chances.clamp_min(1e-30).log()).sum(dim=-1).mean()
        choices.append(float(entropy.exp()) / key.shape[2])
        return attend(query, key, value, bias)

    monkeypatch.setattr("briges.export.attention.attend", record)
    run(seeded_model("briges-tiny", *SIZE))
    assert len(choices) == 4 + 2 + 4 * 2  # geometry blocks, semantic blocks, cross and self of four gates
    # 1 would be an average over all keys, 1 / keys a lookup of one.
    assert all(0.05 < share < 0.95 for share in choices), choices
