"""The geometry encoder: DINOv2 ViT/14 as in Depth Anything V1 and V2 (facebookresearch/dinov2, arXiv 2304.07193).

Parameter names are those of the public checkpoints below ``pretrained.``. ``mask_token`` is stored there but unused at
inference, so it does not exist here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from briges.export.layers import Mlp, PatchEmbed, SelfAttention, layer_norm
from briges.export.presets import GeometrySpec

# Depth Anything resizes positions by a scale factor with this offset, not to a size. The two sample different places.
INTERPOLATE_OFFSET = 0.1


class LayerScale(nn.Module):
    """Multiplies channels by a learned ``gamma`` [C]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens * self.gamma


class Block(nn.Module):
    """Pre-norm transformer block with LayerScale, [B, N, C] -> [B, N, C]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = layer_norm(width)
        self.attn = SelfAttention(width, heads)
        self.ls1 = LayerScale(width)
        self.norm2 = layer_norm(width)
        self.mlp = Mlp(width)
        self.ls2 = LayerScale(width)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class DinoV2(nn.Module):
    """The encoder for one fixed token grid.

    grid: (rows, columns) of patches. Call ``bake_constants`` once after the weights are loaded.
    """

    positions: Tensor  # [1, 1 + rows*columns, C]: the table for this grid, a constant of the graph

    def __init__(self, spec: GeometrySpec, grid: tuple[int, int]) -> None:
        super().__init__()
        self.spec, self.grid = spec, grid
        self.patch_embed = PatchEmbed(spec.width, spec.patch_px)
        self.cls_token = nn.Parameter(torch.empty(1, 1, spec.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + spec.position_grid**2, spec.width))
        self.blocks = nn.ModuleList(Block(spec.width, spec.heads) for _ in range(spec.depth))
        self.norm = layer_norm(spec.width)

    def bake_constants(self) -> None:
        """Compute the position table of this grid, so that no interpolation of positions enters the graph."""
        table = interpolate_positions(self.pos_embed.detach(), self.spec.position_grid, self.grid)
        self.register_buffer("positions", table, persistent=False)

    def forward(self, image: Tensor) -> list[Tensor]:
        """image: float [B, 3, H, W] normalised; returns four maps [B, N, C] after the final norm, no class token."""
        patches = self.patch_embed(image).flatten(2).transpose(1, 2)  # [B, C, rows, cols] -> [B, N, C]
        cls_token = self.cls_token.expand(patches.shape[0], -1, -1)
        tokens = torch.cat((cls_token, patches), dim=1) + self.positions
        tapped = []
        for index, block in enumerate(self.blocks[: max(self.spec.taps) + 1]):
            tokens = block(tokens)
            if index in self.spec.taps:
                tapped.append(self.norm(tokens)[:, 1:])
        return tapped


def interpolate_positions(table: Tensor, source_side: int, grid: tuple[int, int]) -> Tensor:
    """Resize a learned position table to ``grid`` the way Depth Anything does.

    table: [1, 1 + source_side^2, C]; returns [1, 1 + rows*columns, C], the class row unchanged. Bicubic, sampled by
    the scale factor (grid + 0.1) / source_side: passing the size instead moves samples by up to 0.6 of a N(0,1) table.
    Source: DepthAnything/Depth-Anything-V2, depth_anything_v2/dinov2.py.
    """
    if grid == (source_side, source_side):
        return table
    width = table.shape[-1]
    patches = table[:, 1:].reshape(1, source_side, source_side, width).permute(0, 3, 1, 2)  # [1, C, side, side]
    factors = tuple((side + INTERPOLATE_OFFSET) / source_side for side in grid)
    patches = F.interpolate(patches, scale_factor=factors, mode="bicubic", antialias=False)
    assert patches.shape[-2:] == grid, f"positions came out as {tuple(patches.shape[-2:])}, not {grid}"
    patches = patches.permute(0, 2, 3, 1).reshape(1, -1, width)  # [1, C, rows, cols] -> [1, N, C]
    return torch.cat((table[:, :1], patches), dim=1)
