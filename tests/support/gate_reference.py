"""The Bridging Gate and the semantic alignment a second time: float64, one head after the other, nothing shared.

No public library contains them. Definitions: arXiv 2505.23400 and its public development code (wodon326/BriGeS_v2_base,
wodon326/Efficient_BriGeS). Everything here works on plain arrays and the parameter names of that code.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def gate_reference(
    gate: nn.Module, depth: Tensor, semantic: Tensor, heads: int, taus: tuple[float, float] = (1.0, 1.0)
) -> Tensor:
    """depth [B, N, C], semantic [B, M, C]; taus: temperatures of the cross- and of the self-attention; float64."""
    weights = {name: value.double() for name, value in gate.state_dict().items()}
    cross, self_ = (_below(weights, prefix) for prefix in ("cross_block.", "self_block."))
    fused = []
    for x, y in zip(depth.double(), semantic.double(), strict=True):  # one image at a time, [N, C]
        x_normed, y_normed = _norm(x, cross, "norm1_x"), _norm(y, cross, "norm1_y")
        width = x.shape[1]
        query = _linear(x_normed, cross, "attn.query")
        key_value = _linear(y_normed, cross, "attn.key_value")
        attended = _attention(query, key_value[:, :width], key_value[:, width:], heads, taus[0])
        crossed = x + _linear(attended, cross, "attn.proj")
        bridged = crossed + _mlp(_norm(crossed, cross, "norm2"), cross)

        packed = _linear(_norm(bridged, self_, "norm1"), self_, "attn.qkv")
        query, key, value = (packed[:, i * width : (i + 1) * width] for i in range(3))
        attended = bridged + _linear(_attention(query, key, value, heads, taus[1]), self_, "attn.proj")
        fused.append(attended + _mlp(_norm(attended, self_, "norm2"), self_))
    return torch.stack(fused)


def pooled_reference(semantic: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """[B, C, h, w] -> [B, N, C]: half-pixel bilinear to twice the grid, then the largest of each 2x2."""
    doubled = doubled_reference(semantic, grid)
    corners = [doubled[:, :, top::2, left::2] for top in (0, 1) for left in (0, 1)]
    return tokens_reference(np.maximum.reduce(corners))


def refined_reference(semantic: np.ndarray, grid: tuple[int, int], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[B, C, h, w] -> [B, N, C]: the same doubling, then ReLU, 3x3 at stride 2, ReLU, 3x3; weights [C, C, 3, 3]."""
    halved = _convolve(np.maximum(doubled_reference(semantic, grid), 0), first, stride=2)
    return tokens_reference(_convolve(np.maximum(halved, 0), second, stride=1))


def doubled_reference(semantic: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Bilinear to (2 * rows, 2 * columns), corners not aligned: source = (i + 0.5) * source / target - 0.5, >= 0."""
    rows = _bilinear_matrix(semantic.shape[2], 2 * grid[0])
    cols = _bilinear_matrix(semantic.shape[3], 2 * grid[1])
    return np.einsum("is,jt,bcst->bcij", rows, cols, semantic.astype(np.float64), optimize=True)


def tokens_reference(maps: np.ndarray) -> np.ndarray:
    """[B, C, rows, cols] -> [B, N, C], token n at row n // cols and column n % cols."""
    cols = maps.shape[3]
    return np.stack([maps[:, :, n // cols, n % cols] for n in range(maps.shape[2] * cols)], axis=1)


def _attention(query: Tensor, key: Tensor, value: Tensor, heads: int, tau: float) -> Tensor:
    size = query.shape[1] // heads
    context = torch.empty_like(query)
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        logits = torch.einsum("nc,mc->nm", query[:, own], key[:, own]) / math.sqrt(size) / tau
        chances = torch.exp(logits - logits.amax(dim=1, keepdim=True))
        chances = chances / chances.sum(dim=1, keepdim=True)
        context[:, own] = torch.einsum("nm,mc->nc", chances, value[:, own])
    return context


def _norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    centred = x - x.mean(dim=1, keepdim=True)
    variance = centred.square().mean(dim=1, keepdim=True)
    return centred / torch.sqrt(variance + 1e-6) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    return torch.einsum("ni,oi->no", x, weights[f"{name}.weight"]) + weights[f"{name}.bias"]


def _mlp(x: Tensor, weights: Weights) -> Tensor:
    hidden = _linear(x, weights, "mlp.fc1")
    return _linear(hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2))), weights, "mlp.fc2")


def _below(weights: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _bilinear_matrix(source: int, target: int) -> np.ndarray:
    matrix = np.zeros((target, source))
    for index in range(target):
        centre = max((index + 0.5) * source / target - 0.5, 0.0)
        below = int(centre)
        matrix[index, below] += 1 - (centre - below)
        matrix[index, min(below + 1, source - 1)] += centre - below
    return matrix


def _convolve(maps: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """3x3, one pixel of zeros around, no bias."""
    rows, cols = maps.shape[2] // stride, maps.shape[3] // stride
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)))
    total = np.zeros((maps.shape[0], kernel.shape[0], rows, cols))
    for down in range(3):
        for right in range(3):
            seen = padded[:, :, down : down + stride * rows : stride, right : right + stride * cols : stride]
            total += np.einsum("oc,bchw->bohw", kernel[:, :, down, right], seen)
    return total
