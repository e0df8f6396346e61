"""The same networks in Hugging Face transformers, carrying our weights.

Dinov2, DepthAnything and SAM there were written by others from the same public checkpoints. Loading is strict in both
directions: each of our parameters has a place, and what the reference holds besides is named here and filled with NaN,
so that a test also shows it to be unused.
"""

from __future__ import annotations

import os
import re

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from torch import Tensor, nn
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Backbone,
    Dinov2Config,
    SamVisionConfig,
    SamVisionModel,
)
from transformers.models.depth_anything.modeling_depth_anything import (
    DepthAnythingDepthEstimationHead,
    DepthAnythingNeck,
)

from briges.export.dinov2 import DinoV2
from briges.export.dpt import DptHead
from briges.export.model import DepthModel
from briges.export.presets import GeometrySpec, HeadSpec, SemanticSpec
from briges.export.sam import SamEncoder

Renames = list[tuple[str, str]]  # (pattern, replacement), all applied in order

_DINOV2: Renames = [
    (r"^cls_token", "embeddings.cls_token"),
    (r"^pos_embed", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj", "embeddings.patch_embeddings.projection"),
    (r"^norm\.", "layernorm."),
    (r"^blocks\.", "encoder.layer."),
    (r"\.attn\.", ".attention."),
    (r"attention\.proj", "attention.o_proj"),
    (r"ls(\d)\.gamma", r"layer_scale\1.lambda1"),
]
_DPT: Renames = [
    (r"^projects\.(\d)", r"neck.reassemble_stage.layers.\1.projection"),
    (r"^resize_layers\.(\d)", r"neck.reassemble_stage.layers.\1.resize"),
    (r"^scratch\.output_conv1", "head.conv1"),
    (r"^scratch\.output_conv2\.0", "head.conv2"),
    (r"^scratch\.output_conv2\.2", "head.conv3"),
    *((rf"^scratch\.layer{k}_rn", f"neck.convs.{k - 1}") for k in (1, 2, 3, 4)),
    *(
        (rf"^scratch\.refinenet{k}", f"neck.fusion_stage.layers.{4 - k}") for k in (1, 2, 3, 4)
    ),  # stored deep to shallow
    (r"resConfUnit(\d)\.conv(\d)", r"residual_layer\1.convolution\2"),
    (r"out_conv\.", "projection."),
]
_SAM: Renames = [
    (r"^", "vision_encoder."),
    (r"patch_embed\.proj", "patch_embed.projection"),
    (r"\.blocks\.", ".layers."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"mlp\.fc(\d)", r"mlp.lin\1"),
]

# Held by the references and by the public checkpoints, used by nothing.
UNUSED_MASK_TOKEN = "embeddings.mask_token"
UNUSED_COARSEST_UNIT = "neck.fusion_stage.layers.0.residual_layer1."


def dinov2_reference(encoder: DinoV2, positions: Tensor | None = None) -> Dinov2Backbone:
    """The encoder with our weights; its ``feature_maps`` are the four taps, class token included.

    positions: [1, 1 + N, C], used in place of the reference's own table, which it resizes by another rule than Depth
    Anything wherever the input is not 518x518.
    """
    reference = _empty(lambda: Dinov2Backbone(dinov2_config(encoder.spec)))
    _load(reference, _split_qkv(_renamed(encoder, _DINOV2)), unused=UNUSED_MASK_TOKEN)
    if positions is not None:
        reference.embeddings.interpolate_pos_encoding = lambda *_: positions
    return reference


def sam_reference(encoder: SamEncoder, spec: SemanticSpec) -> SamVisionModel:
    """The encoder with our weights; ``hidden_states[-1]`` is the map before the neck, [B, grid, grid, C]."""
    reference = _empty(lambda: SamVisionModel(sam_config(spec)))
    _load(reference, _renamed(encoder, _SAM), unused="vision_encoder.neck.")
    return reference


def head_reference(head: DptHead, geometry: GeometrySpec, spec: HeadSpec) -> nn.ModuleDict:
    """``neck`` and ``head`` with our weights."""
    config = depth_anything_config(geometry, spec)
    reference = _empty(
        lambda: nn.ModuleDict({"neck": DepthAnythingNeck(config), "head": DepthAnythingDepthEstimationHead(config)})
    )
    _load(reference, _renamed(head, _DPT), unused=UNUSED_COARSEST_UNIT)
    return reference


def depth_anything_reference(model: DepthModel) -> DepthAnythingForDepthEstimation:
    """The whole ungated network with our weights."""
    config = depth_anything_config(model.preset.geometry, model.preset.head)
    reference = _empty(lambda: DepthAnythingForDepthEstimation(config))
    backbone = _split_qkv(_renamed(model.geometry, _DINOV2))
    weights = {f"backbone.{name}": value for name, value in backbone.items()} | _renamed(model.head, _DPT)
    _load(reference, weights, unused=(f"backbone.{UNUSED_MASK_TOKEN}", UNUSED_COARSEST_UNIT))
    return reference


def dinov2_config(spec: GeometrySpec) -> Dinov2Config:
    """Spell out every fact, so that no default of the library stands in for one."""
    return Dinov2Config(
        hidden_size=spec.width,
        num_hidden_layers=spec.depth,
        num_attention_heads=spec.heads,
        mlp_ratio=4,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
        image_size=518,
        patch_size=14,
        out_indices=[index + 1 for index in spec.taps],  # 0 is the stem there
        apply_layernorm=True,
        reshape_hidden_states=False,
    )


def depth_anything_config(geometry: GeometrySpec, head: HeadSpec) -> DepthAnythingConfig:
    """The configuration of the public Depth Anything ports, at any width."""
    return DepthAnythingConfig(
        backbone_config=dinov2_config(geometry),
        reassemble_hidden_size=geometry.width,
        reassemble_factors=[4, 2, 1, 0.5],
        neck_hidden_sizes=list(head.out_channels),
        fusion_hidden_size=head.features,
        head_hidden_size=32,
        head_in_index=-1,
        patch_size=14,
        depth_estimation_type="relative",
    )


def sam_config(spec: SemanticSpec) -> SamVisionConfig:
    """The configuration of the public SAM ports, at any width and image size."""
    return SamVisionConfig(
        hidden_size=spec.width,
        num_hidden_layers=spec.depth,
        num_attention_heads=spec.heads,
        image_size=spec.image_px,
        patch_size=spec.patch_px,
        window_size=spec.window,
        global_attn_indexes=list(spec.global_blocks),
        mlp_ratio=4.0,
        hidden_act="gelu",
        layer_norm_eps=1e-6,
    )


def _empty(build):
    with torch.device("meta"):
        return build()


def _renamed(module: nn.Module, renames: Renames) -> dict[str, Tensor]:
    renamed = {}
    for name, value in module.state_dict().items():
        target = name
        for pattern, replacement in renames:
            target = re.sub(pattern, replacement, target)
        renamed[target] = value
    return renamed


def _split_qkv(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """One packed projection [3C, ...] becomes three [C, ...], in the order query, key, value."""
    split = {}
    for name, value in weights.items():
        if ".qkv." not in name:
            split[name] = value
            continue
        for letter, part in zip("qkv", value.chunk(3), strict=True):
            split[name.replace(".qkv.", f".{letter}_proj.")] = part
    return split


def _load(reference: nn.Module, weights: dict[str, Tensor], unused: str | tuple[str, ...]) -> None:
    spare = {name: value for name, value in reference.state_dict().items() if name.startswith(unused)}
    assert spare, f"the reference holds nothing called {unused}"
    filler = {name: torch.full(value.shape, torch.nan) for name, value in spare.items()}
    reference.load_state_dict(weights | filler, strict=True, assign=True)
    reference.eval().requires_grad_(False)
