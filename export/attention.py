"""Attention of the encoders and the gates: the eager formula, and one node of the plugin's operator when exported.

The formula is two matrix products and a softmax; every other form of it (engines/plugin/definition.py, the plugin's
kernel) is measured against it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from briges.engines.plugin.layout import AttentionLayout
from briges.runtime.contracts import PLUGIN_NAME, PLUGIN_NAMESPACE


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: AttentionLayout,
    temperature: Tensor | None = None,
    tables: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """softmax(Q K^T / (sqrt(head_dim) temperature) [+ relative positions]) V, the softmax over keys.

    query: [B, Nq, C], key and value: [B, Nk, C], packed or not: ``layout`` says which channels are meant
    temperature: float32 [1], > 0, or None for 1
    tables: SAM's relative positions by row distance [2 * rows - 1, head_dim] and by column distance, where the layout
        has a grid; they meet the unscaled query (facebookresearch/segment-anything, ``add_decomposed_rel_pos``)
    returns: [B, Nq, heads * head_dim]
    """
    if torch.compiler.is_exporting():
        return _node(query, key, value, layout, temperature, tables)
    q = split_heads(query, layout, layout.query_offset)
    k = split_heads(key, layout, layout.key_offset)
    v = split_heads(value, layout, layout.value_offset)
    scale = layout.head_dim**-0.5
    # Divided in float32, where a small temperature does not overflow before it meets the query.
    factor = scale if temperature is None else (scale / temperature).to(q.dtype)
    context = attend(q * factor, k, v, None if tables is None else relative_bias(q, tables, layout))
    return context.transpose(1, 2).flatten(2)  # [B, heads, Nq, head_dim] -> [B, Nq, C]


def split_heads(tokens: Tensor, layout: AttentionLayout, offset: int) -> Tensor:
    """[B, N, C] -> [B, heads, N, head_dim]; head h owns channels offset + h*head_dim and the following."""
    part = tokens[..., offset : offset + layout.width]
    return part.unflatten(-1, (layout.num_heads, layout.head_dim)).transpose(1, 2)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(query key^T + bias) value.

    query: [B, heads, Nq, head_dim], already scaled; key, value: [B, heads, Nk, head_dim]
    bias: [B, heads, Nq, Nk], or None
    """
    logits = query @ key.transpose(-2, -1)  # [B, heads, Nq, Nk]
    if bias is not None:
        logits = logits + bias
    return torch.softmax(logits, dim=-1) @ value


def relative_bias(query: Tensor, tables: tuple[Tensor, Tensor], layout: AttentionLayout) -> Tensor:
    """What the unscaled query [B, heads, N, head_dim] adds to its logits, [B, heads, N, N]."""
    rows, columns = layout.grid_height, layout.grid_width
    grid = query.unflatten(2, (rows, columns))  # [B, heads, N, d] -> [B, heads, h, w, d]
    by_row = grid @ _by_distance(tables[0], rows)  # [B, heads, h, w, key row]
    by_column = (grid.transpose(2, 3) @ _by_distance(tables[1], columns)).transpose(2, 3)  # [.., key column]
    bias = by_row[..., :, None] + by_column[..., None, :]  # [B, heads, h, w, key row, key column]
    return bias.flatten(4).flatten(2, 3)  # -> [B, heads, N, N]


def _by_distance(table: Tensor, side: int) -> Tensor:
    """[2*side - 1, d] -> [side, d, side]: entry [i, :, j] is table[i - j + side - 1]."""
    place = torch.arange(side, device=table.device)
    return table[place[:, None] - place + side - 1].transpose(1, 2)


def _node(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: AttentionLayout,
    temperature: Tensor | None,
    tables: tuple[Tensor, Tensor] | None,
) -> Tensor:
    unit = torch.ones(1, dtype=torch.float32) if temperature is None else temperature
    return torch.onnx.ops.symbolic(
        f"{PLUGIN_NAMESPACE}::{PLUGIN_NAME}",
        (query, key, value, unit, *(tables or ())),
        layout.attributes(),
        dtype=query.dtype,
        shape=(*query.shape[:2], layout.width),
        version=1,
    )
