"""Checkpoints as their authors publish them: names and shapes written out a second time, and small files of each kind.

Sources: facebookresearch/dinov2, facebookresearch/segment-anything, DepthAnything/Depth-Anything-V2 (dpt.py), and for
the gates wodon326/BriGeS_v2_base (V1 layout) and wodon326/Efficient_BriGeS (V2 layout).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from briges.export import checkpoints
from briges.export.checkpoints import WeightFiles
from briges.export.layouts import Layout, to_layout
from briges.export.model import DepthModel
from briges.export.presets import GeometrySpec, HeadSpec, Preset, SemanticSpec, find_preset
from briges.export.random_weights import randomise

Shapes = dict[str, tuple[int, ...]]
State = dict[str, Tensor]

# Every part of BriGeS at a width that loads in milliseconds. No preset of that width is exported.
SMALL = dataclasses.replace(
    find_preset("briges-tiny"),
    name="briges-small",
    geometry=GeometrySpec(width=48, depth=5, heads=2, taps=(0, 1, 2, 3), position_grid=3),
    semantic=SemanticSpec(width=48, depth=2, heads=2, global_blocks=(1,), image_px=64),
    head=HeadSpec(16, (8, 8, 16, 16)),
    gate_heads=4,
    height_px=42,
    width_px=56,
)
SMALL_V1 = dataclasses.replace(SMALL, layout="v1")


def dinov2_shapes(spec: GeometrySpec) -> Shapes:
    """DINOv2 as Depth Anything stores it; ``mask_token`` is used by nobody after pre-training."""
    width = spec.width
    shapes: Shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + spec.position_grid**2, width),
        "mask_token": (1, width),
        "patch_embed.proj.weight": (width, 3, 14, 14),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for index in range(spec.depth):
        block = _norms(width, "norm1", "norm2") | _packed_attention(width) | _mlp(width, "fc1", "fc2")
        shapes |= _below(f"blocks.{index}.", block | {"ls1.gamma": (width,), "ls2.gamma": (width,)})
    return shapes


def sam_shapes(spec: SemanticSpec) -> Shapes:
    """SAM's image encoder with its neck, which BriGeS does not use."""
    width, head_dim = spec.width, spec.width // spec.heads
    grid = spec.image_px // 16
    shapes: Shapes = {
        "pos_embed": (1, grid, grid, width),
        "patch_embed.proj.weight": (width, 3, 16, 16),
        "patch_embed.proj.bias": (width,),
        "neck.0.weight": (256, width, 1, 1),
        "neck.1.weight": (256,),
        "neck.1.bias": (256,),
        "neck.2.weight": (256, 256, 3, 3),
        "neck.3.weight": (256,),
        "neck.3.bias": (256,),
    }
    for index in range(spec.depth):
        entries = 2 * (grid if index in spec.global_blocks else 14) - 1
        tables: Shapes = {"attn.rel_pos_h": (entries, head_dim), "attn.rel_pos_w": (entries, head_dim)}
        block = _norms(width, "norm1", "norm2") | _packed_attention(width) | _mlp(width, "lin1", "lin2") | tables
        shapes |= _below(f"blocks.{index}.", block)
    return shapes


def gate_shapes(width: int) -> Shapes:
    """The four Bridging Gates."""
    cross = _norms(width, "norm1_x", "norm1_y", "norm2") | _mlp(width, "fc1", "fc2")
    for name, rows in (("query", width), ("key_value", 2 * width), ("proj", width)):
        cross |= {f"attn.{name}.weight": (rows, width), f"attn.{name}.bias": (rows,)}
    own = _norms(width, "norm1", "norm2") | _packed_attention(width) | _mlp(width, "fc1", "fc2")
    shapes: Shapes = {}
    for index in range(4):
        shapes |= _below(f"Cross_Attention_blocks_layers.{index}.", cross) | _below(f"Blocks_layers.{index}.", own)
    return shapes


def head_shapes(width: int, spec: HeadSpec) -> Shapes:
    """Depth Anything's DPT head; ``refinenet4.resConfUnit1`` is stored and never used."""
    features, channels = spec.features, spec.out_channels
    shapes: Shapes = {}

    def conv(name: str, weight: tuple[int, ...]) -> None:
        shapes[f"{name}.weight"] = weight
        shapes[f"{name}.bias"] = (weight[0],)

    for index, count in enumerate(channels):
        conv(f"projects.{index}", (count, width, 1, 1))
        shapes[f"scratch.layer{index + 1}_rn.weight"] = (features, count, 3, 3)
    conv("resize_layers.0", (channels[0], channels[0], 4, 4))
    conv("resize_layers.1", (channels[1], channels[1], 2, 2))
    conv("resize_layers.3", (channels[3], channels[3], 3, 3))
    for level in range(1, 5):
        for unit in ("resConfUnit1", "resConfUnit2"):
            for name in ("conv1", "conv2"):
                conv(f"scratch.refinenet{level}.{unit}.{name}", (features, features, 3, 3))
        conv(f"scratch.refinenet{level}.out_conv", (features, features, 1, 1))
    conv("scratch.output_conv1", (features // 2, features, 3, 3))
    conv("scratch.output_conv2.0", (32, features // 2, 3, 3))
    conv("scratch.output_conv2.2", (1, 32, 1, 1))
    return shapes


def refine_shapes(width: int) -> Shapes:
    """The convolutional aligners of the later variants (wodon326/SEEDepth)."""
    return {f"seg_refine.{index}.{layer}.weight": (width, width, 3, 3) for index in range(4) for layer in (1, 3)}


def temperature_shapes() -> Shapes:
    """The learned temperatures of some later variants."""
    blocks = ("Cross_Attention_blocks_layers", "Blocks_layers")
    return {f"{block}.{index}.attn.tau_param": () for block in blocks for index in range(4)}


def checkpoint_shapes(preset: Preset, layout: Layout) -> Shapes:
    """Everything a training run of a gated preset stores."""
    assert preset.semantic is not None
    head, gates = head_shapes(preset.geometry.width, preset.head), gate_shapes(preset.geometry.width)
    shapes = _below("ImageEncoderViT.", sam_shapes(preset.semantic)) | _below("depth_head.", head)
    if layout == "v2":
        return shapes | gates | _below("pretrained.", dinov2_shapes(preset.geometry))
    # V1 carries a whole Depth Anything below one name; of its head nothing is used.
    shapes |= _below("depth_head.", gates) | _below("depth_anything.depth_head.", head)
    return shapes | _below("depth_anything.pretrained.", dinov2_shapes(preset.geometry))


def depth_anything_shapes(preset: Preset) -> Shapes:
    """A public Depth Anything file, either version."""
    head = head_shapes(preset.geometry.width, preset.head)
    return _below("pretrained.", dinov2_shapes(preset.geometry)) | _below("depth_head.", head)


def sam_file_shapes(preset: Preset) -> Shapes:
    """A public SAM file, with one key for each of the two parts BriGeS has no use for."""
    assert preset.semantic is not None
    others: Shapes = {"prompt_encoder.no_mask_embed.weight": (1, 256), "mask_decoder.iou_token.weight": (1, 256)}
    return _below("image_encoder.", sam_shapes(preset.semantic)) | others


def hollow(shapes: Mapping[str, tuple[int, ...]]) -> State:
    """Zeros of any shape that take four bytes, in memory and in a file."""
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


def weights_of(preset: Preset, seed: int = 0) -> State:
    """Seeded weights of a network, in our names."""
    with torch.device("meta"):
        model = DepthModel(preset, preset.height_px, preset.width_px)
    randomise(model.to_empty(device="cpu"), seed)
    return model.state_dict()


def checkpoint(preset: Preset, layout: Layout, weights: State) -> State:
    """``weights`` as a training run stores them. What no forward pass reads is NaN: whoever reads it will be seen."""
    return _published(checkpoint_shapes(preset, layout), {to_layout(name, layout): v for name, v in weights.items()})


def gates_alone(preset: Preset, layout: Layout, weights: State) -> State:
    """The 112 trained tensors of ``weights``."""
    names = _below("depth_head." if layout == "v1" else "", gate_shapes(preset.geometry.width))
    whole = checkpoint(preset, layout, weights)
    return {name: whole[name] for name in names}


def depth_anything_file(preset: Preset, weights: State) -> State:
    """The depth half of ``weights`` as Depth Anything publishes it."""
    return _published(depth_anything_shapes(preset), {to_layout(name, "v2"): v for name, v in weights.items()})


def sam_file(preset: Preset, weights: State) -> State:
    """The semantic half of ``weights`` as SAM publishes it."""
    named = {to_layout(name, "v2"): value for name, value in weights.items()}
    return _published(
        sam_file_shapes(preset), {name.replace("ImageEncoderViT.", "image_encoder."): v for name, v in named.items()}
    )


def save(state: object, path: Path) -> Path:
    """torch.save, returning the path."""
    torch.save(state, path)
    return path


def three_files(folder: Path, preset: Preset, weights: State) -> WeightFiles:
    """The files that make a whole: trained gates, public Depth Anything, public SAM."""
    return WeightFiles(
        save(gates_alone(preset, preset.layout, weights), folder / "gates.pth"),
        save(depth_anything_file(preset, weights), folder / "depth.pth"),
        save(sam_file(preset, weights), folder / "sam.pth"),
    )


def temperatures(values: list[float]) -> State:
    """Learned temperatures as stored: four of the cross-attentions, then four of the self-attentions."""
    return {name: torch.tensor(value) for name, value in zip(temperature_shapes(), values, strict=True)}


def pretend_checksums(monkeypatch: pytest.MonkeyPatch, checksums: dict[str, str]) -> None:
    """Give files, by name, the checksums of public ones; any other file one of zeros. The real ones are gigabytes."""
    monkeypatch.setattr(checkpoints, "sha256_of", lambda path: checksums.get(path.name, "0" * 64))


def _published(shapes: Shapes, named: State) -> State:
    return {name: named.get(name, torch.full(shape, torch.nan)) for name, shape in shapes.items()}


def _below(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}


def _norms(width: int, *names: str) -> Shapes:
    return {f"{name}.{leaf}": (width,) for name in names for leaf in ("weight", "bias")}


def _packed_attention(width: int) -> Shapes:
    return {
        "attn.qkv.weight": (3 * width, width),
        "attn.qkv.bias": (3 * width,),
        "attn.proj.weight": (width, width),
        "attn.proj.bias": (width,),
    }


def _mlp(width: int, first: str, second: str) -> Shapes:
    return {
        f"mlp.{first}.weight": (4 * width, width),
        f"mlp.{first}.bias": (4 * width,),
        f"mlp.{second}.weight": (width, 4 * width),
        f"mlp.{second}.bias": (width,),
    }
