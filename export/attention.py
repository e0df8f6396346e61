"""Explicit softmax attention: the eager formula every other lowering is measured against.

Written with two matrix products and a softmax on purpose. torch's fused attention call would leave IsNaN/Where guards
in the exported graph, and those keep TensorRT from recognising and fusing the pattern.
"""

from __future__ import annotations

import torch
from torch import Tensor


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """[B, N, C] -> [B, heads, N, head_dim]; head h owns channels h*head_dim .. (h+1)*head_dim - 1."""
    batch, count, width = tokens.shape
    return tokens.reshape(batch, count, heads, width // heads).transpose(1, 2)


def merge_heads(context: Tensor) -> Tensor:
    """[B, heads, N, head_dim] -> [B, N, C], the inverse of ``split_heads``."""
    batch, heads, count, head_dim = context.shape
    return context.transpose(1, 2).reshape(batch, count, heads * head_dim)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(query key^T + bias) value, the softmax over keys.

    query: [B, heads, Nq, head_dim], already scaled (by head_dim^-0.5, and by 1/temperature where there is one)
    key, value: [B, heads, Nk, head_dim]
    bias: broadcastable to [B, heads, Nq, Nk], or None
    returns: [B, heads, Nq, head_dim], the dtype of ``value``
    """
    logits = query @ key.transpose(-2, -1)  # [B, heads, Nq, Nk]
    if bias is not None:
        logits = logits + bias
    return torch.softmax(logits, dim=-1) @ value
