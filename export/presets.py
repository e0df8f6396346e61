"""The one table of model facts: every width, head count, tap and licence of every supported network.

Nothing else in the toolchain may state such a fact. The table needs no torch, so that the command
line can list presets without it. What the runtime needs of it travels in the sidecar.

Sources: the public configurations of facebookresearch/dinov2, facebookresearch/segment-anything,
LiheYoung/Depth-Anything and DepthAnything/Depth-Anything-V2; for the gates the public development code
wodon326/BriGeS_v2_base (V1) and wodon326/Efficient_BriGeS (V2) behind arXiv 2505.23400.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from briges.runtime.contracts import PATCH_PX
from briges.runtime.errors import unknown_name

# Per-channel RGB statistics in units of 0..255. Depth Anything states them as fractions of 255, SAM as here: the same
# numbers, so one pair serves both encoders.
IMAGE_MEAN = (123.675, 116.28, 103.53)
IMAGE_STD = (58.395, 57.12, 57.375)

LAYER_NORM_EPS = 1e-6  # every LayerNorm of both encoders and of the gates
MLP_RATIO = 4

Aligner = Literal["pool", "conv"]


@dataclass(frozen=True)
class GeometrySpec:
    """A DINOv2 encoder as Depth Anything uses it: patch 14, class token, no registers, LayerScale.

    ``taps`` are the 0-based block indices, shallow to deep, whose outputs feed the gates and the head.
    """

    width: int
    depth: int
    heads: int
    taps: tuple[int, int, int, int]
    patch_px: int = PATCH_PX
    position_grid: int = 37  # side of the learned position table, trained at 518 = 37 * 14 pixels


@dataclass(frozen=True)
class SemanticSpec:
    """A Segment Anything image encoder up to its last block, before the neck."""

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    patch_px: int = 16
    window: int = 14
    image_px: int = 1024

    @property
    def grid(self) -> int:
        """Side of the token map, 64 at 1024 pixels."""
        return self.image_px // self.patch_px


@dataclass(frozen=True)
class HeadSpec:
    """A DPT head: ``features`` after fusion, ``out_channels`` of the four projections."""

    features: int
    out_channels: tuple[int, int, int, int]


@dataclass(frozen=True)
class Preset:
    """One exportable network.

    ``layout`` names the checkpoint's key layout; ``semantic`` is None for the ungated baselines. ``aligner`` is how
    the semantic map meets the depth grid: "pool" (the published models) or "conv" (per-gate convolutions of the later
    variants, recognised from their checkpoints).
    """

    name: str
    summary: str
    layout: Literal["v1", "v2"]
    geometry: GeometrySpec
    semantic: SemanticSpec | None
    head: HeadSpec
    licence: str
    gate_heads: int = 16
    aligner: Aligner = "pool"
    height_px: int = 518
    width_px: int = 518

    @property
    def gated(self) -> bool:
        """Whether the network has a semantic encoder and Bridging Gates."""
        return self.semantic is not None


APACHE = "Apache-2.0"
NON_COMMERCIAL = "CC-BY-NC-4.0 (Depth Anything V2 ViT-B/L weights: no commercial use)"

_LAST_FOUR = {12: (8, 9, 10, 11), 24: (20, 21, 22, 23)}
_SPREAD = {12: (2, 5, 8, 11), 24: (4, 11, 17, 23)}
_ENCODERS = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16)}
_HEADS = {
    "s": HeadSpec(64, (48, 96, 192, 384)),
    "b": HeadSpec(128, (96, 192, 384, 768)),
    "l": HeadSpec(256, (256, 512, 1024, 1024)),
}
_SEMANTICS = {
    "b": SemanticSpec(width=768, depth=12, heads=12, global_blocks=(2, 5, 8, 11)),
    "l": SemanticSpec(width=1024, depth=24, heads=16, global_blocks=(5, 11, 17, 23)),
}


def _published(family: str, version: Literal["v1", "v2"], size: str) -> Preset:
    width, depth, heads = _ENCODERS[size]
    gated = family == "briges"
    suffix = f" with Bridging Gates on SAM ViT-{size.upper()}" if gated else ", no gates"
    return Preset(
        name=f"{family}-{version}-{size}",
        summary=f"Depth Anything {version.upper()} ViT-{size.upper()}{suffix}",
        layout=version,
        geometry=GeometrySpec(width, depth, heads, (_LAST_FOUR if version == "v1" else _SPREAD)[depth]),
        semantic=_SEMANTICS[size] if gated else None,
        head=_HEADS[size],
        licence=NON_COMMERCIAL if version == "v2" and size != "s" else APACHE,
    )


# Every part of the real model (windowed blocks with padding, a global block, relative positions, four taps, 16-head
# gates, DPT head), at the smallest head size a fused attention kernel serves: 384 / 16 = 24.
_TINY = Preset(
    name="briges-tiny",
    summary="every part of BriGeS in small, for tests and a first look; has no trained weights",
    layout="v2",
    geometry=GeometrySpec(width=384, depth=4, heads=6, taps=(0, 1, 2, 3)),
    semantic=SemanticSpec(width=384, depth=2, heads=6, global_blocks=(1,), image_px=256),
    head=HeadSpec(32, (24, 48, 96, 96)),
    licence=APACHE,
    height_px=126,
    width_px=126,
)

_VERSIONS: tuple[Literal["v1", "v2"], ...] = ("v1", "v2")
PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        *(_published("briges", version, size) for version in _VERSIONS for size in "bl"),
        *(_published("depth-anything", version, size) for version in _VERSIONS for size in "sbl"),
        _TINY,
    )
}


def find_preset(name: str) -> Preset:
    """Return the preset called ``name``. Raises UnknownNameError naming the nearest preset."""
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]
