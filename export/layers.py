"""The two layers that both encoders and the gates share."""

from __future__ import annotations

from torch import Tensor, nn

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
