"""Checkpoint key layouts: which one a file has, what in it is dead weight, and how its keys map onto our model.

The authors' code exists in two layouts: V1 (wodon326/BriGeS_v2_base), where gates hang below ``depth_head`` and a whole
Depth Anything below ``depth_anything``; and V2 (wodon326/Efficient_BriGeS), flat. Public Depth Anything files have the
flat layout without gates. The maps are plain prefix tables and work both ways.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from briges.export.presets import Aligner

Layout = Literal["v1", "v2"]
Part = Literal["full", "gates", "depth", "semantic"]
T = TypeVar("T")

_GATES = (
    ("Cross_Attention_blocks_layers.", "gates.", "cross_block."),
    ("Blocks_layers.", "gates.", "self_block."),
)

# (prefix in the file, prefix in our model); the first match wins, so longer prefixes come first.
_PREFIXES: dict[Layout, tuple[tuple[str, str], ...]] = {
    "v1": (("depth_anything.pretrained.", "geometry."), ("ImageEncoderViT.", "semantic."), ("depth_head.", "head.")),
    "v2": (
        ("pretrained.", "geometry."),
        ("ImageEncoderViT.", "semantic."),
        ("image_encoder.", "semantic."),  # SAM's own files
        ("seg_refine.", "aligner.seg_refine."),
        ("depth_head.", "head."),
    ),
}
_GATE_PREFIX: dict[Layout, str] = {"v1": "depth_head.", "v2": ""}

# Stored in checkpoints, used by no forward pass of ours: may be there or not.
_DEAD = re.compile(
    r"depth_anything\.depth_head\.|(depth_anything\.)?pretrained\.mask_token$|(ImageEncoderViT|image_encoder)\.neck\."
    r"|depth_head\.scratch\.refinenet4\.resConfUnit1\.|prompt_encoder\.|mask_decoder\."
)

# Recognised, and refused by name: (a key's beginning, what the file is).
_REFUSED = (
    ("residual_self_layers.", "a distilled SEEDepth student, which has no semantic encoder"),
    ("neck.0.0.weight", "an InSDA variant of BriGeS"),
    ("MLP_layers.0.fc1.weight", "the InSDA_only_linear variant of BriGeS"),
    ("MLP_neck_layers.", "an Efficient_BriGeS variant, with gates of width 256 behind SAM's neck"),
    ("Cross_Attention_blocks_layers1.", "the dual-attention ablation, which never had a working forward pass"),
    ("depth_head.Adapter_sams.", "a CBAM ablation of BriGeS"),
    ("seg_norm_layer.", "the normalisation ablation of BriGeS"),
    ("vision_encoder.", "a Hugging Face conversion of SAM; use the original sam_vit_*.pth"),
    ("backbone.", "a Hugging Face conversion of Depth Anything; use the original depth_anything_*.pth"),
)


@dataclass(frozen=True)
class Detected:
    """What a state dict is. ``gate_heads`` is None where the preset's own number stands."""

    layout: Layout
    part: Part
    width: int
    aligner: Aligner = "pool"
    gate_heads: int | None = None


def is_dead(key: str) -> bool:
    """Whether ``key`` is stored in checkpoints but has no effect."""
    return _DEAD.match(key) is not None


def refused_variant(keys: Sequence[str]) -> str | None:
    """What the file is, if it is a variant this toolchain recognises and does not export."""
    for prefix, what in _REFUSED:
        if any(key.startswith(prefix) for key in keys):
            return what
    return None


def detect(shapes: Mapping[str, Sequence[int]]) -> Detected | None:
    """Recognise a state dict by its keys and shapes; None if it is nothing we know."""

    def width_of(*names: str) -> int:
        return next((shapes[name][-1] for name in names if shapes.get(name)), 0)

    def has(prefix: str) -> bool:
        return any(key.startswith(prefix) for key in shapes)

    for layout, gate_prefix in _GATE_PREFIX.items():
        if not has(f"{gate_prefix}Cross_Attention_blocks_layers."):
            continue
        encoder = "depth_anything.pretrained." if layout == "v1" else "pretrained."
        width = width_of(f"{gate_prefix}Cross_Attention_blocks_layers.0.norm1_x.weight", f"{encoder}cls_token")
        if not has("seg_refine."):
            return Detected(layout, "full" if has(encoder) else "gates", width)
        # The later variants with a convolutional aligner: 16 heads where temperatures are learned, else 12 at ViT-B.
        heads = 12 if width == 768 and not any(key.endswith("tau_param") for key in shapes) else None
        return Detected(layout, "full" if has(encoder) else "gates", width, "conv", heads)
    if has("pretrained.") and has("depth_head."):
        return Detected("v2", "depth", width_of("pretrained.cls_token"))
    if has("image_encoder."):
        return Detected("v2", "semantic", width_of("image_encoder.pos_embed"))
    return None


def to_internal(key: str, layout: Layout) -> str | None:
    """Our name of a checkpoint's key, or None if the layout has no such key."""
    gate_prefix = _GATE_PREFIX[layout]
    for outer, gates, block in _GATES:
        if key.startswith(gate_prefix + outer):
            index, _, rest = key[len(gate_prefix + outer) :].partition(".")
            return f"{gates}{index}.{block}{rest}"
    for outer, inner in _PREFIXES[layout]:
        if key.startswith(outer):
            return _sam_mlp(inner + key[len(outer) :], ("mlp.lin", "mlp.fc"))
    return None


def to_layout(key: str, layout: Layout) -> str:
    """The inverse of ``to_internal``: a checkpoint can be written back in either layout."""
    for outer, gates, block in _GATES:
        if match := re.match(rf"{re.escape(gates)}(\d+)\.{re.escape(block)}", key):
            return f"{_GATE_PREFIX[layout]}{outer}{match[1]}.{key[match.end() :]}"
    for outer, inner in _PREFIXES[layout]:
        if key.startswith(inner):
            return outer + _sam_mlp(key, ("mlp.fc", "mlp.lin"))[len(inner) :]
    raise KeyError(key)


def _sam_mlp(key: str, rename: tuple[str, str]) -> str:
    return key.replace(*rename) if key.startswith("semantic.") else key
