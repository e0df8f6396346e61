"""The semantic encoder: SAM's image encoder up to its last block (facebookresearch/segment-anything, ViTDet style).

BriGeS takes the token map before the neck and without a final norm, so the neck does not exist here. Parameter names
are those of the public checkpoints below ``image_encoder.``, with ``mlp.lin1/lin2`` read as ``mlp.fc1/fc2``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from briges.engines.plugin.layout import AttentionLayout
from briges.export.attention import attention
from briges.export.layers import Mlp, PatchEmbed, layer_norm
from briges.export.presets import SemanticSpec


class RelativeAttention(nn.Module):
    """Self-attention over a square grid with decomposed relative positions.

    side: rows (and columns) of the grid attention runs over: the window, or the whole map in a global block.
    """

    def __init__(self, width: int, heads: int, side: int) -> None:
        super().__init__()
        head_dim = width // heads
        self.layout = AttentionLayout(
            heads, head_dim, key_offset=width, value_offset=2 * width, grid_height=side, grid_width=side
        )
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.empty(2 * side - 1, head_dim))
        self.rel_pos_w = nn.Parameter(torch.empty(2 * side - 1, head_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, side*side, C] -> [B, side*side, C]."""
        packed, tables = self.qkv(tokens), (self.rel_pos_h, self.rel_pos_w)
        return self.proj(attention(packed, packed, packed, self.layout, tables=tables))


class SamBlock(nn.Module):
    """Pre-norm block on a token map [B, grid, grid, C]; ``window`` 0 means global attention."""

    def __init__(self, spec: SemanticSpec, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1 = layer_norm(spec.width)
        self.attn = RelativeAttention(spec.width, spec.heads, window or spec.grid)
        self.norm2 = layer_norm(spec.width)
        self.mlp = Mlp(spec.width)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, grid, grid, C] -> [B, grid, grid, C]."""
        normed = self.norm1(tokens)
        attended = self._windowed(normed) if self.window else self._global(normed)
        tokens = tokens + attended
        return tokens + self.mlp(self.norm2(tokens))

    def _global(self, tokens: Tensor) -> Tensor:
        batch, rows, cols, width = tokens.shape
        attended = self.attn(tokens.reshape(batch, rows * cols, width))  # [B, rows, cols, C] -> [B, N, C]
        return attended.reshape(batch, rows, cols, width)  # and back

    def _windowed(self, tokens: Tensor) -> Tensor:
        batch, rows, cols, width = tokens.shape
        side = self.window
        # Zero tokens fill the last windows and are attended to like any other: masking them changes the features.
        padded = F.pad(tokens, (0, 0, 0, -cols % side, 0, -rows % side))
        down, across = padded.shape[1] // side, padded.shape[2] // side
        # [B, down*side, across*side, C] -> [B, down, across, side, side, C] -> one sequence per window
        windows = padded.reshape(batch, down, side, across, side, width).transpose(2, 3)
        attended = self.attn(windows.reshape(batch * down * across, side * side, width))
        # and back: [B*windows, side*side, C] -> [B, down*side, across*side, C], cut to [B, rows, cols, C]
        merged = attended.reshape(batch, down, across, side, side, width).transpose(2, 3)
        return merged.reshape(batch, down * side, across * side, width)[:, :rows, :cols]


class SamEncoder(nn.Module):
    """SAM's encoder at its fixed input size, pre-neck."""

    def __init__(self, spec: SemanticSpec) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(spec.width, spec.patch_px)
        self.pos_embed = nn.Parameter(torch.empty(1, spec.grid, spec.grid, spec.width))
        self.blocks = nn.ModuleList(
            SamBlock(spec, 0 if index in spec.global_blocks else spec.window) for index in range(spec.depth)
        )

    def forward(self, image: Tensor) -> Tensor:
        """image: float [B, 3, image_px, image_px] normalised; returns the semantic map [B, C, grid, grid]."""
        tokens = self.patch_embed(image).permute(0, 2, 3, 1) + self.pos_embed  # [B, C, g, g] -> [B, g, g, C]
        for block in self.blocks:
            tokens = block(tokens)
        return tokens.permute(0, 3, 1, 2)  # [B, g, g, C] -> [B, C, g, g]
