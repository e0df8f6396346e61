"""One network from one preset: encoders, aligner, gates and head."""

from __future__ import annotations

from torch import Tensor, nn

from briges.export.dinov2 import DinoV2
from briges.export.dpt import DptHead
from briges.export.gates import BridgingGate, SemanticAligner
from briges.export.presets import Preset
from briges.export.sam import SamEncoder


class DepthModel(nn.Module):
    """BriGeS, or an ungated Depth Anything where the preset has no semantic encoder.

    preset: the network; height_px, width_px: the fixed input size, multiples of the patch.
    Call ``bake_constants`` once after the weights are in place.
    """

    def __init__(self, preset: Preset, height_px: int, width_px: int) -> None:
        super().__init__()
        patch_px = preset.geometry.patch_px
        grid = (height_px // patch_px, width_px // patch_px)
        width = preset.geometry.width
        self.preset = preset
        self.geometry = DinoV2(preset.geometry, grid)
        if preset.semantic is not None:
            self.semantic = SamEncoder(preset.semantic)
            self.aligner = SemanticAligner(width, grid, preset.aligner)
            self.gates = nn.ModuleList(BridgingGate(width, preset.gate_heads) for _ in range(4))
        self.head = DptHead(preset.geometry, preset.head, grid)

    def bake_constants(self) -> None:
        """Compute what depends on the size alone: the position table."""
        self.geometry.bake_constants()

    def forward(
        self, depth_image: Tensor, semantic_image: Tensor | None = None, temperature: Tensor | None = None
    ) -> Tensor:
        """Relative inverse depth (larger is nearer), float [B, 1, H, W], >= 0, scale and shift unknown.

        depth_image: float [B, 3, H, W], RGB, ImageNet-normalised
        semantic_image: float [B, 3, 1024, 1024], RGB, SAM-normalised; None for ungated presets
        temperature: float32 [1] dividing the gates' logits; None when folded into the weights
        """
        semantic = None if semantic_image is None else self.semantic(semantic_image)
        return self.fuse(self.geometry(depth_image), semantic, temperature)

    def fuse(self, features: list[Tensor], semantic: Tensor | None, temperature: Tensor | None) -> Tensor:
        """The part after the encoders: the gates, if there is a semantic map, and the head.

        features: four maps [B, N, C] of the geometry encoder; semantic: [B, C, g, g], None for ungated presets.
        """
        if semantic is not None:
            features = [
                gate(depth, aligned, temperature)
                for gate, depth, aligned in zip(self.gates, features, self.aligner(semantic), strict=True)
            ]
        return self.head(features)
