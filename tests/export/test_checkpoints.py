"""Weight files to the weights of one preset: what is accepted comes out whole, and says where it came from."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from support.checkpoints import (
    SMALL,
    SMALL_V1,
    State,
    checkpoint,
    checkpoint_shapes,
    depth_anything_file,
    depth_anything_shapes,
    gates_alone,
    hollow,
    pretend_checksums,
    refine_shapes,
    save,
    temperature_shapes,
    temperatures,
    three_files,
    weights_of,
)

from briges.export.checkpoints import WeightFiles, load_weights
from briges.export.layouts import Layout, is_dead
from briges.export.presets import Preset, find_preset
from briges.export.public_weights import PUBLIC_WEIGHTS
from briges.runtime.files import sha256_of
from briges.runtime.sidecar import SourceFile


@pytest.fixture(scope="module")
def weights() -> State:
    return weights_of(SMALL)


def small(layout: Layout) -> Preset:
    return {"v1": SMALL_V1, "v2": SMALL}[layout]


def assert_equal(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    different = [key for key, value in expected.items() if not torch.equal(found[key], value)]
    assert different == []


# What is accepted


@pytest.mark.parametrize("dead", [True, False], ids=["with-dead-keys", "without-dead-keys"])
@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_a_whole_checkpoint_loads_in_either_layout_with_and_without_its_dead_keys(tmp_path, weights, layout, dead):
    stored = checkpoint(small(layout), layout, weights)
    if not dead:
        stored = {key: value for key, value in stored.items() if not is_dead(key)}
        assert len(stored) == len(weights)
    loaded = load_weights(small(layout), WeightFiles(save(stored, tmp_path / "BriGeS.pth")))
    assert_equal(loaded.state, weights)
    assert loaded.preset == small(layout)
    assert loaded.learned_temperatures == ()
    assert (loaded.origin.layout, loaded.origin.random_seed) == (layout, None)


def test_the_wrapping_of_a_training_run_changes_nothing(tmp_path, weights):
    wrapped = {f"module.{key}": value for key, value in checkpoint(SMALL, "v2", weights).items()}
    path = save({"model_state_dict": wrapped, "optimizer_state_dict": {"state": {}}}, tmp_path / "step.pth")
    assert_equal(load_weights(SMALL, WeightFiles(path)).state, weights)


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_gates_and_the_two_public_files_merge_into_the_same_weights(tmp_path, weights, layout):
    files = three_files(tmp_path, small(layout), weights)
    loaded = load_weights(small(layout), files)
    assert_equal(loaded.state, weights)
    assert loaded.origin.layout == layout
    assert [(source.role, source.name) for source in loaded.origin.files] == [
        ("checkpoint", "gates.pth"),
        ("depth-weights", "depth.pth"),
        ("semantic-weights", "sam.pth"),
    ]


def test_a_head_trained_with_the_gates_is_not_replaced_by_the_public_one(tmp_path, weights):
    files = three_files(tmp_path, SMALL_V1, weights)
    trained = {"depth_head.scratch.output_conv1.bias": weights["head.scratch.output_conv1.bias"] + 1}
    save(gates_alone(SMALL, "v1", weights) | trained, files.checkpoint)
    found = load_weights(SMALL_V1, files).state["head.scratch.output_conv1.bias"]
    assert torch.equal(found, trained["depth_head.scratch.output_conv1.bias"])


def test_an_ungated_preset_takes_the_public_file(tmp_path):
    preset = dataclasses.replace(SMALL, name="depth-anything-small", semantic=None)
    weights = weights_of(preset)
    loaded = load_weights(preset, WeightFiles(save(depth_anything_file(preset, weights), tmp_path / "depth.pth")))
    assert_equal(loaded.state, weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_become_float32_whatever_they_were_stored_as(tmp_path, weights, dtype):
    stored = {key: value.to(dtype) for key, value in checkpoint(SMALL, "v2", weights).items()}
    loaded = load_weights(SMALL, WeightFiles(save(stored, tmp_path / "half.pth")))
    assert {value.dtype for value in loaded.state.values()} == {torch.float32}
    assert_equal(loaded.state, {key: value.to(dtype).float() for key, value in weights.items()})


def test_a_convolutional_aligner_is_recognised_and_loaded(tmp_path):
    preset = dataclasses.replace(SMALL, aligner="conv")
    weights = weights_of(preset)
    refine = {key: weights[f"aligner.{key}"] for key in refine_shapes(SMALL.geometry.width)}
    pooling = {key: value for key, value in weights.items() if not key.startswith("aligner.")}
    path = save(checkpoint(SMALL, "v2", pooling) | refine, tmp_path / "conv.pth")
    loaded = load_weights(SMALL, WeightFiles(path))
    assert (loaded.preset.aligner, loaded.preset.gate_heads) == ("conv", SMALL.gate_heads)
    assert_equal(loaded.state, weights)


@pytest.mark.parametrize(("learned", "heads"), [(False, 12), (True, 16)])
def test_the_base_variants_with_that_aligner_bring_their_own_head_count(tmp_path, learned, heads):
    base = find_preset("briges-v2-b")
    shallow = dataclasses.replace(base.geometry, depth=1), dataclasses.replace(base.semantic, depth=1)
    preset = dataclasses.replace(base, geometry=shallow[0], semantic=shallow[1])
    shapes = checkpoint_shapes(preset, "v2") | refine_shapes(768) | (temperature_shapes() if learned else {})
    loaded = load_weights(preset, WeightFiles(save(hollow(shapes), tmp_path / "base.pth")))
    assert (loaded.preset.aligner, loaded.preset.gate_heads) == ("conv", heads)
    assert bool(loaded.learned_temperatures) is learned


@pytest.mark.parametrize("name", ["briges-v1-b", "depth-anything-v2-s"])
def test_a_file_of_full_size_has_the_keys_and_shapes_its_preset_expects(tmp_path, name):
    preset = find_preset(name)
    shapes = checkpoint_shapes(preset, preset.layout) if preset.gated else depth_anything_shapes(preset)
    loaded = load_weights(preset, WeightFiles(save(hollow(shapes), tmp_path / "full.pth")))
    assert loaded.preset == preset
    assert loaded.origin.licence == f"your checkpoint's own, on top of {preset.licence}"


# Where it came from


def test_every_file_is_recorded_with_its_checksum(tmp_path, weights):
    files = three_files(tmp_path, SMALL, weights)
    loaded = load_weights(SMALL, files)
    paths = (files.checkpoint, files.depth_weights, files.semantic_weights)
    assert [source.sha256 for source in loaded.origin.files] == [sha256_of(path) for path in paths if path]
    assert [source.known_as for source in loaded.origin.files] == [None, None, None]


def test_public_files_are_recorded_by_their_name(tmp_path, weights, monkeypatch):
    preset = dataclasses.replace(SMALL, name="briges-v2-b")
    files = three_files(tmp_path, SMALL, weights)
    depth, sam = PUBLIC_WEIGHTS["depth-anything-v2-b"].sha256, PUBLIC_WEIGHTS["sam-vit-b"].sha256
    pretend_checksums(monkeypatch, {"depth.pth": depth, "sam.pth": sam})
    assert load_weights(preset, files).origin.files == (
        SourceFile("checkpoint", "gates.pth", "0" * 64, None),
        SourceFile("depth-weights", "depth.pth", depth, "depth-anything-v2-b"),
        SourceFile("semantic-weights", "sam.pth", sam, "sam-vit-b"),
    )


# Learned temperatures


def test_learned_temperatures_are_the_softplus_of_what_is_stored(tmp_path, weights):
    raw = [1.0, 0.0, -3.0, 2.0, 5.0, 30.0, -1.0, 0.5]  # four of the cross-attentions, four of the self-attentions
    path = save(checkpoint(SMALL, "v2", weights) | temperatures(raw), tmp_path / "tau.pth")
    loaded = load_weights(SMALL, WeightFiles(path))
    expected = [math.log1p(math.exp(value)) + 1e-6 for value in raw]
    assert [cross for cross, _ in loaded.learned_temperatures] == pytest.approx(expected[:4], rel=1e-9)
    assert [own for _, own in loaded.learned_temperatures] == pytest.approx(expected[4:], rel=1e-9)
    assert loaded.learned_temperatures[0][0] == pytest.approx(1.3133, abs=5e-5)  # the initial value of training
    assert_equal(loaded.state, weights)


def test_learned_temperatures_are_found_in_the_v1_layout_too(tmp_path, weights):
    learned = {f"depth_head.{name}": value for name, value in temperatures([1.0] * 8).items()}
    path = save(checkpoint(SMALL_V1, "v1", weights) | learned, tmp_path / "tau.pth")
    found = load_weights(SMALL_V1, WeightFiles(path)).learned_temperatures
    assert found is not None
    assert [value for pair in found for value in pair] == pytest.approx([math.log1p(math.e) + 1e-6] * 8)
