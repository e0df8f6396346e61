"""A preset, weights and a size become one model: sizes, taps, seeds, and every way a temperature gets into it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from support.checkpoints import SMALL, checkpoint, depth_anything_file, save, temperatures, weights_of
from support.parity import CLEARLY_DIFFERENT, TIGHT, assert_parity, assert_varies, relative_error
from support.seeded import noise
from torch import Tensor

from briges.export.assemble import AssembledModel, assemble, check_network_size, with_taps
from briges.export.checkpoints import WeightFiles
from briges.export.model import DepthModel
from briges.export.presets import find_preset
from briges.runtime.errors import CheckpointError, InvalidSizeError, UsageError
from briges.runtime.files import sha256_of
from briges.runtime.sidecar import Temperature

Pairs = list[tuple[float, float]]


def assembled(source: WeightFiles | int = 0, temperature: str = "1.0", **changes) -> AssembledModel:
    size = {"height_px": 42, "width_px": 56} | changes
    return assemble(SMALL, source, temperature=temperature, **size)


def images() -> tuple[Tensor, Tensor]:
    return noise(1, 3, 42, 56, seed=1), noise(1, 3, 64, 64, seed=2)


def run_with_temperatures(model: DepthModel, pairs: Pairs) -> Tensor:
    """The forward pass of an unfolded model with one (cross, self) pair of temperatures per gate as inputs."""
    depth_image, semantic_image = images()
    tapped, aligned = model.geometry(depth_image), model.aligner(model.semantic(semantic_image))
    fused = []
    for gate, depth, semantic, pair in zip(model.gates, tapped, aligned, pairs, strict=True):
        cross, own = (torch.tensor([value]) for value in pair)
        fused.append(gate.self_block(gate.cross_block(depth, semantic, cross), own))
    return model.head(fused)


@pytest.fixture
def checkpoint_path(tmp_path: Path) -> Path:
    return save(checkpoint(SMALL, "v2", weights_of(SMALL)), tmp_path / "BriGeS.pth")


# Sizes


@pytest.mark.parametrize("size", [(28, 28), (518, 518), (518, 686), (4088, 28)])
def test_a_size_of_whole_patches_is_accepted(size):
    check_network_size(*size)


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((520, 518), "use 518 instead of 520"),
        ((518, 513), "use 518 instead of 513"),
        ((518, 510), "use 504 instead of 510"),
        ((14, 518), "use 28 instead of 14"),
        ((0, 518), "use 28 instead of 0"),
        ((518, -14), "use 28 instead of -14"),
        ((4090, 518), "use 4088 instead of 4090"),
        ((518, 5000), "use 4088 instead of 5000"),
    ],
)
def test_any_other_size_is_refused_and_names_the_nearest(size, nearest):
    with pytest.raises(InvalidSizeError) as caught:
        check_network_size(*size)
    assert caught.value.came == f"{size[0]}x{size[1]} (height x width)"
    assert caught.value.expected == "multiples of 14 from 28 to 4088"
    assert caught.value.cure == nearest
    assert caught.value.exit_code == 2
    side = int(nearest.split()[1])
    check_network_size(side, side)  # the suggestion works


@pytest.mark.parametrize("size", [(28, 28), (28, 84), (98, 42)])
def test_a_model_of_any_accepted_size_gives_depth_of_that_size(size):
    made = assembled(height_px=size[0], width_px=size[1])
    depth = made.model(noise(1, 3, *size), noise(1, 3, 64, 64))
    assert depth.shape == (1, 1, *size)
    assert_varies(depth)


def test_a_wrong_size_is_told_before_weights_are_read():
    with pytest.raises(InvalidSizeError):
        assembled(WeightFiles(Path("absent.pth")), height_px=43)
    with pytest.raises(UsageError, match="--temperature"):
        assembled(WeightFiles(Path("absent.pth")), temperature="warm")
    with pytest.raises(CheckpointError, match="does not exist"):
        assembled(WeightFiles(Path("absent.pth")))


# Taps


def test_other_taps_are_kept_and_change_the_depth():
    assert with_taps(SMALL, None) is SMALL
    shifted = with_taps(SMALL, (1, 2, 3, 4))
    assert shifted.geometry.taps == (1, 2, 3, 4)
    assert dataclasses.replace(shifted, geometry=SMALL.geometry) == SMALL
    usual, other = (
        assemble(preset, 0, height_px=42, width_px=56, temperature="1.0").model(*images())
        for preset in (SMALL, shifted)
    )
    assert relative_error(other, usual) > CLEARLY_DIFFERENT


@pytest.mark.parametrize(
    "taps", [(), (0, 1, 2), (0, 1, 2, 3, 4), (0, 1, 2, 5), (-1, 0, 1, 2), (0, 2, 1, 3), (0, 1, 1, 3)], ids=str
)
def test_taps_that_are_not_four_increasing_blocks_are_refused(taps):
    with pytest.raises(UsageError) as caught:
        with_taps(SMALL, taps)
    assert (caught.value.subject, caught.value.came) == ("--taps", ",".join(map(str, taps)))
    assert caught.value.expected == "four increasing block numbers from 0 to 4"
    assert caught.value.cure == "leave it out to use 0,1,2,3"


# Weights


def test_the_same_seed_makes_the_same_model_and_another_seed_another():
    first, again, other = (assembled(seed).model(*images()) for seed in (5, 5, 6))
    assert_varies(first)
    assert torch.equal(first, again)
    assert relative_error(other, first) > CLEARLY_DIFFERENT


def test_random_weights_are_recorded_as_such():
    weights = assembled(5).weights
    assert (weights.random_seed, weights.files, weights.licence) == (5, (), "none: random weights")


def test_a_model_is_ready_to_trace():
    model = assembled().model
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(value.is_meta for value in (*model.parameters(), *model.buffers()))
    assert model.geometry.positions.shape == (1, 1 + 3 * 4, SMALL.geometry.width)


def test_a_checkpoint_gives_what_its_weights_give(checkpoint_path):
    made = assembled(WeightFiles(checkpoint_path))
    assert torch.equal(made.model(*images()), assembled(0).model(*images()))
    assert [source.name for source in made.weights.files] == ["BriGeS.pth"]
    assert (made.weights.random_seed, made.weights.layout, made.weights.licence) == (
        None,
        "v2",
        "your checkpoint's own, on top of Apache-2.0",
    )


def test_weights_stored_as_float16_run_as_float32(tmp_path):
    stored = {key: value.half() for key, value in checkpoint(SMALL, "v2", weights_of(SMALL)).items()}
    model = assembled(WeightFiles(save(stored, tmp_path / "half.pth"))).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    depth = model(*images())
    assert depth.dtype == torch.float32
    # Half a unit in the last of 11 bits per weight, and no more than that.
    assert 0 < relative_error(depth, assembled(0).model(*images())) < 1e-2


def test_an_ungated_model_needs_no_semantic_image(tmp_path):
    preset = dataclasses.replace(SMALL, semantic=None)
    path = save(depth_anything_file(preset, weights_of(preset)), tmp_path / "depth.pth")
    made = assemble(preset, WeightFiles(path), height_px=42, width_px=56, temperature="1.0")
    assert made.temperature == Temperature("none", 1.0, 1.0, learned=())
    assert_varies(made.model(images()[0]))
    with pytest.raises(UsageError, match="for a preset without Bridging Gates"):
        assemble(preset, WeightFiles(path), height_px=42, width_px=56, temperature="3.0")


# Temperatures


def test_a_folded_temperature_equals_the_input_it_replaces():
    made = assembled(temperature="3.0")
    assert made.temperature == Temperature("folded", 3.0, 3.0, learned=())
    dynamic = assembled(temperature="dynamic").model
    assert_parity(made.model(*images()), dynamic(*images(), torch.tensor([3.0])), TIGHT)
    assert relative_error(made.model(*images()), dynamic(*images(), torch.tensor([1.0]))) > CLEARLY_DIFFERENT


def test_the_two_sites_are_folded_separately():
    made = assembled(temperature="cross=3,self=0.5")
    plain = assembled().model
    assert_parity(made.model(*images()), run_with_temperatures(plain, [(3.0, 0.5)] * 4), TIGHT)
    assert relative_error(run_with_temperatures(plain, [(0.5, 3.0)] * 4), made.model(*images())) > CLEARLY_DIFFERENT


RAW = [-2.0, 1.0, 3.0, -1.0, 2.0, -3.0, 0.0, 4.0]  # four of the cross-attentions, four of the self-attentions


@pytest.fixture
def learned_path(tmp_path: Path) -> Path:
    return save(checkpoint(SMALL, "v2", weights_of(SMALL)) | temperatures(RAW), tmp_path / "tau.pth")


def learned_pairs() -> Pairs:
    values = [math.log1p(math.exp(value)) + 1e-6 for value in RAW]
    return list(zip(values[:4], values[4:], strict=True))


def test_learned_temperatures_are_folded_gate_by_gate(learned_path):
    made = assembled(WeightFiles(learned_path))
    assert made.temperature == Temperature("folded", 1.0, 1.0, made.temperature.learned)
    assert made.temperature.learned == tuple(pytest.approx(pair) for pair in learned_pairs())
    plain = assembled(0).model
    assert_parity(made.model(*images()), run_with_temperatures(plain, learned_pairs()), TIGHT)
    swapped = [pair[::-1] for pair in learned_pairs()]
    assert relative_error(run_with_temperatures(plain, swapped), made.model(*images())) > CLEARLY_DIFFERENT


def test_an_asked_temperature_multiplies_the_learned_ones(learned_path):
    made = assembled(WeightFiles(learned_path), temperature="cross=3,self=2")
    assert made.temperature == Temperature("folded", 3.0, 2.0, made.temperature.learned)
    assert made.temperature.learned == tuple(pytest.approx(pair) for pair in learned_pairs())
    pairs = [(3 * cross, 2 * own) for cross, own in learned_pairs()]
    assert_parity(made.model(*images()), run_with_temperatures(assembled(0).model, pairs), TIGHT)


def test_a_dynamic_temperature_multiplies_the_learned_ones(learned_path):
    made = assembled(WeightFiles(learned_path), temperature="dynamic")
    assert made.temperature == Temperature("dynamic", 1.0, 1.0, made.temperature.learned)
    assert made.temperature.learned == tuple(pytest.approx(pair) for pair in learned_pairs())
    pairs = [(3 * cross, 3 * own) for cross, own in learned_pairs()]
    found = made.model(*images(), torch.tensor([3.0]))
    assert_parity(found, run_with_temperatures(assembled(0).model, pairs), TIGHT)


def test_folding_leaves_the_checkpoint_file_alone(checkpoint_path):
    before = sha256_of(checkpoint_path)
    assembled(WeightFiles(checkpoint_path), temperature="3.0")
    assert sha256_of(checkpoint_path) == before


def test_a_temperature_stays_out_of_the_encoders(checkpoint_path):
    plain, folded = (assembled(WeightFiles(checkpoint_path), temperature=text).model for text in ("1.0", "3.0"))
    changed = {
        name
        for (name, value), other in zip(plain.state_dict().items(), folded.state_dict().values(), strict=True)
        if not torch.equal(value, other)
    }
    sites = ("cross_block.attn.query", "self_block.attn.qkv")
    assert changed == {
        f"gates.{gate}.{site}.{leaf}" for gate in range(4) for site in sites for leaf in ("weight", "bias")
    }


def test_the_variant_found_in_the_checkpoint_replaces_the_presets(tmp_path):
    preset = dataclasses.replace(SMALL, aligner="conv")
    weights = weights_of(preset)
    refine = {key.removeprefix("aligner."): value for key, value in weights.items() if key.startswith("aligner.")}
    pooling = {key: value for key, value in weights.items() if not key.startswith("aligner.")}
    made = assembled(WeightFiles(save(checkpoint(SMALL, "v2", pooling) | refine, tmp_path / "conv.pth")))
    assert made.preset.aligner == "conv"
    expected = assemble(preset, 0, height_px=42, width_px=56, temperature="1.0").model(*images())
    assert torch.equal(made.model(*images()), expected)


def test_the_tiny_preset_is_the_whole_network_in_small():
    made = assemble(find_preset("briges-tiny"), 0, height_px=126, width_px=126, temperature="1.0")
    assert_varies(made.model(noise(1, 3, 126, 126), noise(1, 3, 256, 256)))
