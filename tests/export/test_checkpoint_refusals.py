"""Weight files that are not the weights of the preset asked for: each is told what it is, key by key."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

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
    gate_shapes,
    hollow,
    pretend_checksums,
    sam_file_shapes,
    save,
    temperatures,
    three_files,
    weights_of,
)

from briges.export.checkpoints import WeightFiles, load_weights
from briges.export.presets import Preset, find_preset
from briges.export.public_weights import PUBLIC_WEIGHTS, REFUSED_WEIGHTS
from briges.runtime.errors import CheckpointError, UsageError

NARROW = dataclasses.replace(
    SMALL,
    geometry=dataclasses.replace(SMALL.geometry, width=24),
    semantic=dataclasses.replace(SMALL.semantic, width=24),
)


@pytest.fixture(scope="module")
def weights() -> State:
    return weights_of(SMALL)


def refusal(files: WeightFiles | Path, preset: Preset = SMALL) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        load_weights(preset, files if isinstance(files, WeightFiles) else WeightFiles(files))
    return caught.value


# Several files


@pytest.mark.parametrize("role", ["depth", "semantic"])
def test_gates_alone_ask_for_the_public_file_that_is_missing(tmp_path, weights, role):
    files = dataclasses.replace(three_files(tmp_path, SMALL, weights), **{f"{role}_weights": None})
    with pytest.raises(UsageError) as caught:
        load_weights(SMALL, files)
    assert caught.value.came == "holds the Bridging Gates alone"
    assert caught.value.cure == f"add --{role}-weights FILE; `briges fetch` downloads the public files"


@pytest.mark.parametrize("role", ["depth", "semantic"])
def test_a_public_file_beside_a_whole_checkpoint_is_refused(tmp_path, weights, role):
    files = dataclasses.replace(
        three_files(tmp_path, SMALL, weights), checkpoint=save(checkpoint(SMALL, "v2", weights), tmp_path / "b.pth")
    )
    other = {"depth": "semantic", "semantic": "depth"}[role]
    with pytest.raises(UsageError) as caught:
        load_weights(SMALL, dataclasses.replace(files, **{f"{other}_weights": None}))
    assert caught.value.came == "given with b.pth, which is complete"
    assert caught.value.expected == "them only beside a checkpoint that holds the gates alone"


def test_public_files_of_the_wrong_kind_are_told_what_they_are(tmp_path, weights):
    files = three_files(tmp_path, SMALL, weights)
    swapped = WeightFiles(files.checkpoint, files.semantic_weights, files.depth_weights)
    error = refusal(swapped)
    assert error.subject == f"--depth-weights {tmp_path / 'sam.pth'}"
    assert error.came == "a SAM model, width 48"
    assert error.expected == "the depth encoder of width 48 that briges-small is built on"
    error = refusal(WeightFiles(files.checkpoint, files.depth_weights, files.checkpoint))
    assert error.subject == f"--semantic-weights {files.checkpoint}"
    assert error.came == "Bridging Gates alone in V2 layout, width 48"


@pytest.mark.parametrize("role", ["depth", "semantic"])
def test_a_public_file_of_another_width_is_refused(tmp_path, weights, role):
    shapes = (depth_anything_shapes if role == "depth" else sam_file_shapes)(NARROW)
    files = three_files(tmp_path, SMALL, weights)
    files = dataclasses.replace(files, **{f"{role}_weights": save(hollow(shapes), tmp_path / "narrow.pth")})
    error = refusal(files)
    assert error.subject == f"--{role}-weights {tmp_path / 'narrow.pth'}"
    assert error.came.endswith("model, width 24")


def test_every_wrong_key_is_listed_by_the_name_it_has_in_the_checkpoint(tmp_path, weights):
    stored = checkpoint(SMALL_V1, "v1", weights)
    del stored["depth_head.Blocks_layers.0.attn.qkv.bias"]
    del stored["ImageEncoderViT.blocks.1.mlp.lin1.bias"]
    stored["depth_head.Blocks_layers.4.attn.qkv.bias"] = torch.zeros(1)
    stored["optimizer.step"] = torch.zeros(1)
    stored["depth_head.projects.0.bias"] = torch.zeros(9)
    stored["depth_anything.pretrained.norm.bias"] = torch.zeros(48, dtype=torch.int64)
    error = refusal(save(stored, tmp_path / "odd.pth"), SMALL_V1)
    assert error.subject == f"checkpoint {tmp_path / 'odd.pth'}"
    assert error.came.splitlines() == [
        "2 missing:",
        "    ImageEncoderViT.blocks.1.mlp.lin1.bias",
        "    depth_head.Blocks_layers.0.attn.qkv.bias; 2 unexpected:",
        "    depth_head.Blocks_layers.4.attn.qkv.bias",
        "    optimizer.step; 1 mis-shaped:",
        "    depth_head.projects.0.bias [9], expected [8]; 1 not of a floating type:",
        "    depth_anything.pretrained.norm.bias",
    ]
    assert error.expected == f"exactly the {len(weights)} weights of briges-small"


def test_a_long_list_of_wrong_keys_is_cut_and_counted(tmp_path, weights):
    extra = {f"extra.{index:02}": torch.zeros(1) for index in range(30)}
    error = refusal(save(checkpoint(SMALL, "v2", weights) | extra, tmp_path / "odd.pth"))
    assert error.came.startswith("30 unexpected:\n    extra.00\n")
    assert error.came.endswith("    extra.11\n    … and 18 more")


def test_a_model_with_more_blocks_than_the_preset_is_refused(tmp_path):
    deeper = dataclasses.replace(SMALL, geometry=dataclasses.replace(SMALL.geometry, depth=6))
    error = refusal(save(hollow(checkpoint_shapes(deeper, "v2")), tmp_path / "deep.pth"))
    assert error.came.startswith("14 unexpected:\n    pretrained.blocks.5.")


def test_a_weight_stored_under_two_names_is_refused(tmp_path, weights):
    twice = {"image_encoder.pos_embed": torch.zeros(1)}
    error = refusal(save(checkpoint(SMALL, "v2", weights) | twice, tmp_path / "twice.pth"))
    assert error.came == "holds ImageEncoderViT.pos_embed twice, once as image_encoder.pos_embed"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("key", ["depth_head.Blocks_layers.2.mlp.fc2.bias", "ImageEncoderViT.blocks.0.mlp.lin2.weight"])
def test_a_weight_that_is_not_finite_is_named(tmp_path, weights, key, value):
    stored = checkpoint(SMALL_V1, "v1", weights)
    stored[key] = stored[key].clone()
    stored[key].view(-1)[-1] = value
    error = refusal(save(stored, tmp_path / "broken.pth"), SMALL_V1)
    assert error.came == f"1 weights hold NaN or infinity:\n    {key}"
    assert error.cure == "take an earlier checkpoint of that training run"


def test_a_weight_too_large_for_float32_is_named(tmp_path, weights):
    stored = {key: value.double() for key, value in checkpoint(SMALL, "v2", weights).items()}
    stored["Blocks_layers.0.norm1.bias"][0] = 1e300
    assert refusal(save(stored, tmp_path / "huge.pth")).came.endswith("    Blocks_layers.0.norm1.bias")


@pytest.mark.parametrize(
    ("asked", "given", "came", "fitting"),
    [
        ("briges-v2-b", "briges-v1-b", "a BriGeS checkpoint in V1 layout, width 768", "use preset briges-v1-b"),
        ("briges-v1-l", "briges-v2-l", "a BriGeS checkpoint in V2 layout, width 1024", "use preset briges-v2-l"),
        ("briges-v2-b", "briges-v2-l", "a BriGeS checkpoint in V2 layout, width 1024", "use preset briges-v2-l"),
        ("depth-anything-v2-b", "briges-v2-b", "a BriGeS checkpoint in V2 layout, width 768", "use preset briges-v2-b"),
        (
            "briges-v2-b",
            "depth-anything-v2-b",
            "a plain Depth Anything model, width 768",
            "use preset depth-anything-v1-b or depth-anything-v2-b",
        ),
        (
            "depth-anything-v2-s",
            "depth-anything-v2-l",
            "a plain Depth Anything model, width 1024",
            "use preset depth-anything-v1-l or depth-anything-v2-l",
        ),
    ],
)
def test_a_checkpoint_of_another_network_names_the_preset_that_fits(tmp_path, asked, given, came, fitting):
    other = find_preset(given)
    shapes = checkpoint_shapes(other, other.layout) if other.gated else depth_anything_shapes(other)
    error = refusal(save(hollow(shapes), tmp_path / "other.pth"), find_preset(asked))
    assert error.came == came
    assert error.expected == f"weights of preset {asked}"
    assert error.cure == fitting


def test_gates_of_another_network_name_the_preset_that_fits(tmp_path):
    path = save(hollow(gate_shapes(1024)), tmp_path / "gates.pth")
    error = refusal(path, find_preset("briges-v1-l"))
    assert error.came == "Bridging Gates alone in V2 layout, width 1024"
    assert error.cure == "use preset briges-v2-l"


def test_the_public_file_of_the_other_version_names_the_preset_that_fits(tmp_path, monkeypatch):
    path = save(hollow(depth_anything_shapes(find_preset("depth-anything-v1-s"))), tmp_path / "depth.pth")
    pretend_checksums(monkeypatch, {"depth.pth": PUBLIC_WEIGHTS["depth-anything-v1-s"].sha256})
    error = refusal(path, find_preset("depth-anything-v2-s"))
    assert error.came == "a plain Depth Anything model, width 384, the public file depth-anything-v1-s"
    assert error.cure == "use preset depth-anything-v1-s"


def test_sam_alone_fits_no_preset(tmp_path):
    path = save(hollow(sam_file_shapes(find_preset("briges-v2-b"))), tmp_path / "sam.pth")
    error = refusal(path, find_preset("briges-v2-b"))
    assert error.came == "a SAM model, width 768"
    assert error.cure == "give the checkpoint that belongs to the preset"


def test_a_variant_that_is_not_exported_is_refused_by_name(tmp_path, weights):
    student = {"residual_self_layers.0.1.weight": torch.zeros(48, 48)}
    error = refusal(save(depth_anything_file(SMALL, weights) | student, tmp_path / "SEEDepth.pth"))
    assert error.came == "is a distilled SEEDepth student, which has no semantic encoder"
    assert error.expected == "a BriGeS checkpoint, an original Depth Anything file or an original SAM file"


def test_weights_of_something_else_are_shown_one_of_their_keys(tmp_path):
    error = refusal(save({"layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "resnet.pth"))
    assert error.came == "has keys of no known model, such as 'layer1.0.conv1.weight'"


# Known by their checksum


def test_the_depth_file_of_the_other_version_is_refused_by_its_checksum(tmp_path, weights, monkeypatch):
    preset = dataclasses.replace(SMALL_V1, name="briges-v1-b")
    files = three_files(tmp_path, SMALL_V1, weights)
    pretend_checksums(monkeypatch, {"depth.pth": PUBLIC_WEIGHTS["depth-anything-v2-b"].sha256})
    error = refusal(files, preset)
    assert error.subject == f"--depth-weights {files.depth_weights}"
    assert error.came == "a plain Depth Anything model, width 48, the public file depth-anything-v2-b"
    assert error.expected == "the depth encoder of width 48 that briges-v1-b is built on"


@pytest.mark.parametrize("refused", REFUSED_WEIGHTS, ids=lambda refused: refused.file_name)
def test_a_file_that_only_looks_usable_is_refused_by_its_checksum(tmp_path, weights, monkeypatch, refused):
    files = three_files(tmp_path, SMALL, weights)
    companion = "sam.pth" if refused.file_name.startswith("sam") else "depth.pth"
    pretend_checksums(monkeypatch, {companion: refused.sha256})
    error = refusal(files)
    assert error.subject == f"weight file {tmp_path / companion}"
    assert error.came.startswith(f"is {refused.file_name} is a metric model" if "metric" in refused.file_name else "is")
    assert refused.reason in error.came


# Learned temperatures


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "missing"),
        (torch.ones(2), "[1.0, 1.0]"),
        (torch.tensor(math.nan), "nan"),
        (torch.tensor(math.inf), "inf"),
    ],
    ids=["missing", "two-numbers", "nan", "infinite"],
)
def test_an_incomplete_set_of_learned_temperatures_is_refused(tmp_path, weights, value, told):
    learned = temperatures([1.0] * 8)
    if value is None:
        del learned["Blocks_layers.2.attn.tau_param"]
    else:
        learned["Blocks_layers.2.attn.tau_param"] = value
    error = refusal(save(checkpoint(SMALL, "v2", weights) | learned, tmp_path / "tau.pth"))
    assert error.subject == "learned temperatures"
    assert error.came == f"Blocks_layers.2.attn.tau_param is {told}"
    assert error.expected == "one finite number per attention, eight in all"


def test_a_temperature_of_a_fifth_gate_is_unexpected(tmp_path, weights):
    learned = temperatures([1.0] * 8) | {"Blocks_layers.4.attn.tau_param": torch.tensor(1.0)}
    error = refusal(save(checkpoint(SMALL, "v2", weights) | learned, tmp_path / "tau.pth"))
    assert error.came == "1 unexpected:\n    Blocks_layers.4.attn.tau_param"
