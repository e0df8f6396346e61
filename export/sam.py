"""The semantic encoder: SAM's image encoder up to its last block (facebookresearch/segment-anything, ViTDet style).

BriGeS takes the token map before the neck and without a final norm, so the neck does not exist here. Parameter names
are those of the public checkpoints below ``image_encoder.``, with ``mlp.lin1/lin2`` read as ``mlp.fc1/fc2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from briges.export.attention import attend, merge_heads, split_heads
from briges.export.layers import Mlp, PatchEmbed, layer_norm
from briges.export.presets import SemanticSpec


@dataclass(frozen=True)
class RelativeForm:
    """How relative positions enter: a ``bias`` matrix on the logits, or extra ``channels`` of query and key."""

    windowed: Literal["bias", "channels"]
    global_: Literal["bias", "channels"]


class RelativeAttention(nn.Module):
    """Self-attention over a square grid with decomposed relative positions.

    side: rows (and columns) of the grid attention runs over: the window, or the whole map in a global block.
    channels: write the relative positions as extra channels of query and key instead of a matrix on the logits.
    """

    one_hot: Tensor  # [side, side]: the identity

    def __init__(self, width: int, heads: int, side: int, *, channels: bool) -> None:
        super().__init__()
        self.heads, self.side, self.channels = heads, side, channels
        self.head_dim = width // heads
        self.scale = self.head_dim**-0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.rel_pos_h = nn.Parameter(torch.empty(2 * side - 1, self.head_dim))
        self.rel_pos_w = nn.Parameter(torch.empty(2 * side - 1, self.head_dim))

    def bake_constants(self) -> None:
        self.register_buffer("one_hot", torch.eye(self.side), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, side*side, C] -> [B, side*side, C]."""
        query, key, value = (split_heads(part, self.heads) for part in self.qkv(tokens).chunk(3, dim=-1))
        by_row, by_col = self._relative_terms(query)
        form = self._attend_channels if self.channels else self._attend_bias
        return self.proj(merge_heads(form(query * self.scale, key, value, by_row, by_col)))

    def _relative_terms(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """What a query adds to its logits for each key row and each key column, [B, heads, h, w, side] both.

        They use the *unscaled* query: so SAM was trained.
        """
        grid = query.unflatten(2, (self.side, self.side))  # [B, heads, N, d] -> [B, heads, h, w, d]
        # A query's row picks its row table, its column the column table; both are small batched products.
        by_row = grid @ self._by_distance(self.rel_pos_h)
        by_col = (grid.transpose(2, 3) @ self._by_distance(self.rel_pos_w)).transpose(2, 3)
        return by_row, by_col

    def _by_distance(self, table: Tensor) -> Tensor:
        """[2*side - 1, d] -> [side, d, side]: entry [i, :, j] is table[i - j + side - 1].

        Written as a skew: the reversed table repeated ``side`` times, cut into rows one entry shorter than itself.
        Expanded beforehand, the tables of ViT-B would add 4 MB to every engine.
        """
        side, (period, head_dim) = self.side, table.shape
        repeated = table.flip(0).T.reshape(head_dim, 1, period).expand(head_dim, side, period)
        flat = repeated.reshape(head_dim, side * period)[:, side - 1 : side - 1 + side * (period - 1)]
        # [d, side * (period - 1)] -> [d, side, period - 1] -> [d, side, side] -> [side, d, side]
        return flat.reshape(head_dim, side, period - 1)[:, :, :side].transpose(0, 1)

    def _attend_bias(self, query: Tensor, key: Tensor, value: Tensor, by_row: Tensor, by_col: Tensor) -> Tensor:
        """The literal form: a bias [B, heads, N, N] on the logits."""
        bias = by_row[..., :, None] + by_col[..., None, :]  # [B, heads, h, w, key row, key col]
        return attend(query, key, value, bias.flatten(4).flatten(2, 3))  # [B, heads, N, N]

    def _attend_channels(self, query: Tensor, key: Tensor, value: Tensor, by_row: Tensor, by_col: Tensor) -> Tensor:
        """The same numbers from one plain product: [q, by_row, by_col] . [k, one-hot row, one-hot column].

        The value is padded with zeros to the same head size and the output cut back, because TensorRT fuses attention
        only where query, key and value agree in it; unpadded, the 4096 x 4096 matrices of a global block come back.
        """
        batch, heads, count, head_dim = value.shape
        side = self.side
        extra = wide_head_dim(head_dim, side) - head_dim
        zeros = value.new_zeros(()).expand(batch, heads, count, extra)
        padding = zeros[..., 2 * side :]
        relative = torch.cat((by_row, by_col), dim=-1).flatten(
            2, 3
        )  # [B, heads, h, w, 2 side] -> [B, heads, N, 2 side]
        # Expanded in the graph from 64 x 64 numbers: as constants they would add 1 MB to the engine for each block.
        shape = (batch, heads, side, side, side)
        in_row = self.one_hot[:, None].expand(shape).flatten(2, 3)  # [B, heads, h, w, row] -> [B, heads, N, row]
        in_col = self.one_hot.expand(shape).flatten(2, 3)  # [B, heads, h, w, column] -> [B, heads, N, column]
        query = torch.cat((query, relative, padding), dim=-1)
        key = torch.cat((key, in_row, in_col, padding), dim=-1)
        return attend(query, key, torch.cat((value, zeros), dim=-1))[..., :head_dim]


def wide_head_dim(head_dim: int, side: int) -> int:
    """Head size once both relative terms are channels, rounded up to the multiple of 8 that fused attention needs."""
    return -(-(head_dim + 2 * side) // 8) * 8


class SamBlock(nn.Module):
    """Pre-norm block on a token map [B, grid, grid, C]; ``window`` 0 means global attention."""

    def __init__(self, spec: SemanticSpec, window: int, *, channels: bool) -> None:
        super().__init__()
        self.window = window
        self.norm1 = layer_norm(spec.width)
        self.attn = RelativeAttention(spec.width, spec.heads, window or spec.grid, channels=channels)
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
    """SAM's encoder at its fixed input size, pre-neck.

    form: how each kind of block writes its relative positions; None for the literal one.
    """

    def __init__(self, spec: SemanticSpec, form: RelativeForm | None = None) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(spec.width, spec.patch_px)
        self.pos_embed = nn.Parameter(torch.empty(1, spec.grid, spec.grid, spec.width))
        form = form or RelativeForm(windowed="bias", global_="bias")
        self.blocks = nn.ModuleList(
            SamBlock(spec, 0, channels=form.global_ == "channels")
            if index in spec.global_blocks
            else SamBlock(spec, spec.window, channels=form.windowed == "channels")
            for index in range(spec.depth)
        )

    def forward(self, image: Tensor) -> Tensor:
        """image: float [B, 3, image_px, image_px] normalised; returns the semantic map [B, C, grid, grid]."""
        tokens = self.patch_embed(image).permute(0, 2, 3, 1) + self.pos_embed  # [B, C, g, g] -> [B, g, g, C]
        for block in self.blocks:
            tokens = block(tokens)
        return tokens.permute(0, 3, 1, 2)  # [B, g, g, C] -> [B, C, g, g]
