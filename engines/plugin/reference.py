"""The plugin's formula in float64 NumPy: what every other form of it is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def attention(
    query: Array,
    key: Array,
    value: Array,
    heads: int,
    temperature: float,
    tables: tuple[Array, Array] | None = None,
    grid: tuple[int, int] = (0, 0),
) -> Array:
    """softmax(Q K^T / (sqrt(head_dim) temperature) [+ rel_h + rel_w]) V.

    query: [B, Nq, heads * head_dim], key and value: [B, Nk, heads * head_dim]; head h owns channels h * head_dim on
    temperature: > 0
    tables: by row distance [2 * rows - 1, head_dim] and by column distance [2 * columns - 1, head_dim], entry
        distance + rows - 1; they meet the *unscaled* query (facebookresearch/segment-anything, add_decomposed_rel_pos)
    grid: (rows, columns) with rows * columns = Nq = Nk where there are tables
    Returns [B, Nq, heads * head_dim].
    """
    q, k, v = (_split(tokens, heads) for tokens in (query, key, value))
    logits = q @ k.swapaxes(-1, -2) / (np.sqrt(q.shape[-1]) * temperature)  # [B, heads, Nq, Nk]
    if tables is not None:
        logits = logits + _bias(q, tables, grid)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    attended = weights / weights.sum(-1, keepdims=True) @ v
    return attended.swapaxes(1, 2).reshape(query.shape)  # [B, heads, Nq, head_dim] -> [B, Nq, C]


def _split(tokens: Array, heads: int) -> Array:
    batch, count, width = tokens.shape
    return tokens.reshape(batch, count, heads, width // heads).swapaxes(1, 2)  # -> [B, heads, N, head_dim]


def _bias(q: Array, tables: tuple[Array, Array], grid: tuple[int, int]) -> Array:
    rows, columns = grid
    by_row, by_column = (
        table[np.arange(side)[:, None] - np.arange(side)[None] + side - 1]  # [query's, key's, head_dim]
        for table, side in zip(tables, grid, strict=True)
    )
    batch, heads, count, head_dim = q.shape
    on_grid = q.reshape(batch, heads, rows, columns, head_dim)
    row_term = np.einsum("bhyxd,yzd->bhyxz", on_grid, by_row)
    column_term = np.einsum("bhyxd,xzd->bhyxz", on_grid, by_column)
    bias = row_term[..., :, None] + column_term[..., None, :]  # [B, heads, rows, columns, key's row, key's column]
    return bias.reshape(batch, heads, count, count)
