"""Key layouts: the public ones, what in them is dead, the maps onto our names, and who is recognised as what."""

from __future__ import annotations

import math

import pytest
import torch
from support.checkpoints import (
    Shapes,
    checkpoint_shapes,
    depth_anything_shapes,
    gate_shapes,
    refine_shapes,
    sam_file_shapes,
    temperature_shapes,
)

from briges.export.layouts import Detected, detect, is_dead, refused_variant, to_internal, to_layout
from briges.export.model import DepthModel
from briges.export.presets import PRESETS, find_preset

GATED = [name for name, preset in PRESETS.items() if preset.gated]
UNGATED = [name for name, preset in PRESETS.items() if not preset.gated]


def live_shapes(name: str) -> Shapes:
    """Shapes of our model's weights, by our names."""
    preset = find_preset(name)
    with torch.device("meta"):
        state = DepthModel(preset, preset.height_px, preset.width_px).state_dict()
    return {key: tuple(value.shape) for key, value in state.items()}


def prefixed(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + key: shape for key, shape in shapes.items()}


@pytest.mark.parametrize(
    ("name", "keys", "parameters"),
    [
        ("briges-v1-b", 592, 254_741_122),
        ("briges-v1-l", 928, 775_318_914),
        ("briges-v2-b", 528, 243_850_817),
        ("briges-v2-l", 864, 744_371_905),
    ],
)
def test_what_we_write_plus_the_dead_keys_is_what_the_authors_code_stores(name, keys, parameters):
    preset = find_preset(name)
    stored = checkpoint_shapes(preset, preset.layout)
    written = {to_layout(key, preset.layout): shape for key, shape in live_shapes(name).items()}
    dead = {key: shape for key, shape in stored.items() if is_dead(key)}
    assert written.keys().isdisjoint(dead)
    assert written | dead == stored
    assert len(stored) == keys
    assert sum(math.prod(shape) for shape in stored.values()) == parameters


@pytest.mark.parametrize("layout", ["v1", "v2"])
@pytest.mark.parametrize("name", GATED)
def test_every_gated_preset_can_be_written_in_both_layouts_and_read_back(name, layout):
    names = list(live_shapes(name))
    written = [to_layout(key, layout) for key in names]
    assert len(set(written)) == len(names)
    assert [to_internal(key, layout) for key in written] == names
    assert not any(is_dead(key) for key in written)


@pytest.mark.parametrize("name", GATED)
def test_every_live_key_of_a_published_checkpoint_survives_the_way_back(name):
    preset = find_preset(name)
    live = [key for key in checkpoint_shapes(preset, preset.layout) if not is_dead(key)]
    assert [to_layout(str(to_internal(key, preset.layout)), preset.layout) for key in live] == live


@pytest.mark.parametrize("name", UNGATED)
def test_a_public_depth_anything_file_holds_exactly_our_weights_and_the_dead_keys(name):
    stored = depth_anything_shapes(find_preset(name))
    renamed = {to_internal(key, "v2"): shape for key, shape in stored.items() if not is_dead(key)}
    assert renamed == live_shapes(name)
    assert len(stored) == {12: 239, 24: 407}[find_preset(name).geometry.depth]


@pytest.mark.parametrize("name", ["briges-v2-b", "briges-v2-l"])
def test_a_public_sam_file_holds_exactly_our_semantic_weights_and_the_dead_keys(name):
    stored = sam_file_shapes(find_preset(name))
    renamed = {to_internal(key, "v2"): shape for key, shape in stored.items() if not is_dead(key)}
    assert renamed == {key: shape for key, shape in live_shapes(name).items() if key.startswith("semantic.")}


def test_the_dead_keys_are_the_ones_no_forward_pass_reads():
    dead = {key for key in checkpoint_shapes(find_preset("briges-v1-b"), "v1") if is_dead(key)}
    unit = {f"scratch.refinenet4.resConfUnit1.conv{n}.{leaf}" for n in (1, 2) for leaf in ("weight", "bias")}
    neck = {"0.weight", "1.weight", "1.bias", "2.weight", "3.weight", "3.bias"}
    assert {key for key in dead if not key.startswith("depth_anything.depth_head.")} == (
        {"depth_anything.pretrained.mask_token"}
        | {f"depth_head.{key}" for key in unit}
        | {f"ImageEncoderViT.neck.{key}" for key in neck}
    )
    assert sum(key.startswith("depth_anything.depth_head.") for key in dead) == 64


@pytest.mark.parametrize(
    "key", ["depth_head.scratch.refinenet4.resConfUnit2.conv1.weight", "depth_head.scratch.refinenet3.resConfUnit1.x"]
)
def test_the_neighbours_of_dead_keys_are_alive(key):
    assert not is_dead(key)


@pytest.mark.parametrize(
    ("theirs", "layout", "ours"),
    [
        ("pretrained.blocks.3.ls1.gamma", "v2", "geometry.blocks.3.ls1.gamma"),
        ("depth_anything.pretrained.cls_token", "v1", "geometry.cls_token"),
        ("ImageEncoderViT.blocks.0.mlp.lin1.bias", "v1", "semantic.blocks.0.mlp.fc1.bias"),
        ("image_encoder.blocks.11.mlp.lin2.weight", "v2", "semantic.blocks.11.mlp.fc2.weight"),
        ("Cross_Attention_blocks_layers.2.attn.query.bias", "v2", "gates.2.cross_block.attn.query.bias"),
        ("depth_head.Blocks_layers.0.attn.qkv.weight", "v1", "gates.0.self_block.attn.qkv.weight"),
        ("Blocks_layers.3.mlp.fc1.weight", "v2", "gates.3.self_block.mlp.fc1.weight"),
        ("depth_head.projects.1.weight", "v1", "head.projects.1.weight"),
        ("depth_head.projects.1.weight", "v2", "head.projects.1.weight"),
        ("seg_refine.0.1.weight", "v2", "aligner.seg_refine.0.1.weight"),
    ],
)
def test_a_key_gets_the_name_of_its_place_in_our_model(theirs, layout, ours):
    assert to_internal(theirs, layout) == ours


@pytest.mark.parametrize(("key", "layout"), [("pretrained.cls_token", "v1"), ("optimizer.step", "v2")])
def test_a_key_that_a_layout_does_not_have_gets_no_name(key, layout):
    assert to_internal(key, layout) is None


def test_a_name_that_is_not_ours_cannot_be_written():
    with pytest.raises(KeyError, match="encoder"):
        to_layout("encoder.weight", "v2")


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_a_whole_checkpoint_is_recognised_in_both_layouts(name, layout):
    preset = find_preset(name)
    assert detect(checkpoint_shapes(preset, layout)) == Detected(layout, "full", preset.geometry.width, "pool", None)


@pytest.mark.parametrize("width", [768, 1024])
@pytest.mark.parametrize(("layout", "prefix"), [("v1", "depth_head."), ("v2", "")])
def test_the_gates_alone_are_recognised_in_both_layouts(width, layout, prefix):
    shapes = prefixed(prefix, gate_shapes(width))
    assert len(shapes) == 112
    assert detect(shapes) == Detected(layout, "gates", width, "pool", None)


@pytest.mark.parametrize("name", UNGATED)
def test_plain_depth_anything_is_recognised_by_its_width(name):
    preset = find_preset(name)
    assert detect(depth_anything_shapes(preset)) == Detected("v2", "depth", preset.geometry.width)


@pytest.mark.parametrize("name", ["briges-v2-b", "briges-v2-l"])
def test_sam_alone_is_recognised_by_its_width(name):
    preset = find_preset(name)
    assert detect(sam_file_shapes(preset)) == Detected("v2", "semantic", preset.geometry.width)


@pytest.mark.parametrize(
    ("name", "learned", "keys", "heads"),
    [
        ("briges-v2-b", False, 536, 12),  # "base" of SEEDepth: 12 heads in the gates
        ("briges-v2-b", True, 544, None),  # learned temperatures: the preset's 16 heads
        ("briges-v2-l", True, 880, None),
        ("briges-v2-l", False, 872, None),
    ],
)
def test_the_later_variants_have_a_convolutional_aligner_and_their_own_head_count(name, learned, keys, heads):
    preset = find_preset(name)
    width = preset.geometry.width
    shapes = checkpoint_shapes(preset, "v2") | refine_shapes(width) | (temperature_shapes() if learned else {})
    assert len(shapes) == keys
    assert refused_variant(list(shapes)) is None
    assert detect(shapes) == Detected("v2", "full", width, "conv", heads)


@pytest.mark.parametrize("layout", ["v1", "v2"])
def test_learned_temperatures_alone_leave_the_pooling_aligner_and_16_heads(layout):
    temperatures = prefixed("depth_head." if layout == "v1" else "", temperature_shapes())
    shapes = checkpoint_shapes(find_preset("briges-v2-b"), layout) | temperatures
    assert detect(shapes) == Detected(layout, "full", 768, "pool", None)
    assert to_internal(next(iter(temperatures)), layout) == "gates.0.cross_block.attn.tau_param"


V2_B = checkpoint_shapes(find_preset("briges-v2-b"), "v2")
V2_S = prefixed("", depth_anything_shapes(find_preset("depth-anything-v2-s"))) | gate_shapes(384)
STUDENT = prefixed("residual_self_layers.0.", {"0.norm1.weight": (768,), "1.weight": (768, 768), "1.bias": (768,)})
MLP: Shapes = {"fc1.weight": (1024, 1024), "fc1.bias": (1024,), "fc2.weight": (384, 1024), "fc2.bias": (384,)}
DUAL: Shapes = {"Cross_Attention_blocks_layers1.0.norm1_x.weight": (768,), "MLP_layers.0.mlp.fc1.weight": (3072, 768)}
EFFICIENT = prefixed("MLP_neck_layers.0.", MLP) | {"seg_refine.0.1.weight": (256, 256, 3, 3)} | gate_shapes(256)


@pytest.mark.parametrize(
    ("added", "what"),
    [
        (depth_anything_shapes(find_preset("depth-anything-v2-b")) | STUDENT, "a distilled SEEDepth student"),
        (V2_S | {"neck.0.0.weight": (384, 1024, 1, 1)}, "an InSDA variant of BriGeS"),
        (V2_S | {"neck.0.0.weight": (384, 256, 1, 1)}, "an InSDA variant of BriGeS"),
        (V2_S | prefixed("MLP_layers.0.", MLP), "the InSDA_only_linear variant"),
        (V2_B | EFFICIENT, "an Efficient_BriGeS variant"),
        (V2_B | EFFICIENT | prefixed("MLP_refine_layers.0.", MLP), "an Efficient_BriGeS variant"),
        (V2_B | EFFICIENT | temperature_shapes(), "an Efficient_BriGeS variant"),
        (V2_B | DUAL, "the dual-attention ablation, which never had a working forward pass"),
        (V2_B | {"depth_head.Adapter_sams.samconv.weight": (1, 2, 7, 7)}, "a CBAM ablation"),
        (V2_B | {"seg_norm_layer.weight": (768,), "final_norm_layer.weight": (768,)}, "the normalisation ablation"),
        ({"vision_encoder.pos_embed": (1, 64, 64, 768)}, "a Hugging Face conversion of SAM"),
        ({"backbone.embeddings.cls_token": (1, 1, 768)}, "a Hugging Face conversion of Depth Anything"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_variant_that_is_not_exported_is_refused_by_name(added, what):
    assert what in str(refused_variant(list(added)))


def test_a_student_is_refused_as_such_whatever_else_is_in_the_file():
    assert "student" in str(refused_variant([*DUAL, *V2_B, *EFFICIENT, *STUDENT]))


@pytest.mark.parametrize("name", PRESETS)
def test_nothing_that_can_be_exported_is_refused(name):
    preset = find_preset(name)
    shapes = checkpoint_shapes(preset, preset.layout) if preset.gated else depth_anything_shapes(preset)
    assert refused_variant(list(shapes)) is None


def test_gates_decide_before_the_encoders_do():
    depth, sam = (of(find_preset("briges-v2-b")) for of in (depth_anything_shapes, sam_file_shapes))
    found = detect(depth | sam | gate_shapes(768))
    assert found == Detected("v2", "full", 768)
    assert detect(depth | sam) == Detected("v2", "depth", 768)


def test_v1_decides_before_v2():
    both = checkpoint_shapes(find_preset("briges-v1-b"), "v1") | gate_shapes(1024)
    assert detect(both) == Detected("v1", "full", 768)


@pytest.mark.parametrize(
    "shapes",
    [
        {"layer1.0.conv1.weight": (64, 64, 1, 1)},
        {"pretrained.cls_token": (1, 1, 768)},
        {"depth_head.projects.0.weight": (96, 768, 1, 1)},
        {"gates.0.cross_block.norm1_x.weight": (768,)},
        {},
    ],
    ids=["resnet", "encoder-without-head", "head-without-encoder", "our-own-names", "nothing"],
)
def test_anything_else_is_nothing_we_know(shapes):
    assert detect(shapes) is None
