"""The layers that the encoders and the gates share."""

from __future__ import annotations

from torch import Tensor, nn

from briges.engines.plugin.layout import AttentionLayout
from briges.export.attention import attention
from briges.export.presets import LAYER_NORM_EPS, MLP_RATIO


def layer_norm(width: int) -> nn.LayerNorm:
    """LayerNorm over the last axis with the epsilon every part of the model uses."""
    return nn.LayerNorm(width, eps=LAYER_NORM_EPS)


class Mlp(nn.Module):
    """fc2(GELU(fc1(x))) with the exact (erf) GELU, [..., C] -> [..., C]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(tokens)))


class SelfAttention(nn.Module):
    """Multi-head self-attention with a packed qkv projection, [B, N, C] -> [B, N, C]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.layout = AttentionLayout(heads, width // heads, key_offset=width, value_offset=2 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, temperature: Tensor | None = None) -> Tensor:
        """tokens: [B, N, C]; temperature: float32 [1] dividing the logits, or None for 1."""
        packed = self.qkv(tokens)
        return self.proj(attention(packed, packed, packed, self.layout, temperature))


class PatchEmbed(nn.Module):
    """Non-overlapping patches to tokens, [B, 3, H, W] -> [B, C, H/patch, W/patch]."""

    def __init__(self, width: int, patch_px: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=patch_px, stride=patch_px)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)
