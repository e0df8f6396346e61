"""The Bridging Gates of BriGeS (arXiv 2505.23400), with Attention Temperature Scaling.

Each gate is cross-attention (depth tokens ask, semantic tokens answer) followed by a plain self-attention block. The
temperature divides the attention logits of both and of nothing else in the network. Structure and parameter names
follow the authors' public development code (wodon326/BriGeS_v2_base, wodon326/Efficient_BriGeS).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from briges.engines.plugin.layout import AttentionLayout
from briges.export.attention import attention
from briges.export.layers import Mlp, SelfAttention, layer_norm
from briges.export.presets import Aligner


class CrossAttention(nn.Module):
    """Queries from depth tokens, keys and values from semantic tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.layout = AttentionLayout(heads, width // heads, value_offset=width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, depth: Tensor, semantic: Tensor, temperature: Tensor | None) -> Tensor:
        """depth [B, Nq, C], semantic [B, Nk, C] -> [B, Nq, C]; temperature: float32 [1], or None for 1."""
        packed = self.key_value(semantic)
        return self.proj(attention(self.query(depth), packed, packed, self.layout, temperature))


class CrossBlock(nn.Module):
    """x + cross(x, y), then x + mlp(x). The residual stream is the depth stream."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1_x = layer_norm(width)
        self.norm1_y = layer_norm(width)
        self.attn = CrossAttention(width, heads)
        self.norm2 = layer_norm(width)
        self.mlp = Mlp(width)

    def forward(self, depth: Tensor, semantic: Tensor, temperature: Tensor | None) -> Tensor:
        """depth [B, Nq, C], semantic [B, Nk, C] -> [B, Nq, C]; temperature: float32 [1], or None for 1."""
        depth = depth + self.attn(self.norm1_x(depth), self.norm1_y(semantic), temperature)
        return depth + self.mlp(self.norm2(depth))


class SelfBlock(nn.Module):
    """Pre-norm transformer block without LayerScale."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = layer_norm(width)
        self.attn = SelfAttention(width, heads)
        self.norm2 = layer_norm(width)
        self.mlp = Mlp(width)

    def forward(self, tokens: Tensor, temperature: Tensor | None) -> Tensor:
        """[B, N, C] -> [B, N, C]; temperature: float32 [1], or None for 1."""
        tokens = tokens + self.attn(self.norm1(tokens), temperature)
        return tokens + self.mlp(self.norm2(tokens))


class BridgingGate(nn.Module):
    """One gate: depth tokens [B, N, C] and semantic tokens [B, N, C] -> fused tokens [B, N, C]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cross_block = CrossBlock(width, heads)
        self.self_block = SelfBlock(width, heads)

    def forward(self, depth: Tensor, semantic: Tensor, temperature: Tensor | None = None) -> Tensor:
        return self.self_block(self.cross_block(depth, semantic, temperature), temperature)


class SemanticAligner(nn.Module):
    """Brings the semantic map [B, C, g, g] onto the depth grid as tokens [B, rows*cols, C].

    Bilinear to twice the grid, then halved: by a 2x2 maximum ("pool", one map shared by the four gates), or by two
    learned 3x3 convolutions per gate ("conv", the later variants of wodon326/SEEDepth).
    """

    def __init__(self, width: int, grid: tuple[int, int], aligner: Aligner) -> None:
        super().__init__()
        self.target = (2 * grid[0], 2 * grid[1])
        self.seg_refine = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
            )
            for _ in range(4 if aligner == "conv" else 0)
        )

    def forward(self, semantic: Tensor) -> list[Tensor]:
        """Returns one token map per gate."""
        doubled = F.interpolate(semantic, size=self.target, mode="bilinear", align_corners=False)
        if self.seg_refine:
            return [_tokens(refine(doubled)) for refine in self.seg_refine]
        return [_tokens(F.max_pool2d(doubled, kernel_size=2))] * 4


def _tokens(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)  # [B, C, rows, cols] -> [B, N, C], row-major like DINOv2's patches


@torch.no_grad()
def fold_temperature(gate: BridgingGate, cross: float, self_attention: float) -> None:
    """Divide the query projections by the temperatures: exact in real arithmetic, and free at run time.

    cross, self_attention: temperatures > 0 of the two attentions. Divides ``attn.query`` of the one and rows 0..C-1
    of ``attn.qkv`` of the other, weight and bias.
    """
    query, qkv = gate.cross_block.attn.query, gate.self_block.attn.qkv
    for parameter in (query.weight, query.bias):
        parameter.div_(cross)
    for parameter in (qkv.weight, qkv.bias):
        parameter[: qkv.in_features].div_(self_attention)
