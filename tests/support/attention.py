"""Runs the attention kernel on a CPU, in Triton's interpreter: TRITON_INTERPRET=1 must be set before its import."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from briges.engines.plugin.attention_kernel import attention_kernel
from briges.engines.plugin.reference import attention
from briges.engines.plugin.variants import HEAD_BLOCKS


@dataclass(frozen=True)
class Case:
    """One attention. query, key, value: half [B, N, heads * head_dim], of any strides whose last is 1.

    tables: by row and by column distance, half [2 * side - 1, head_dim] each, with the ``grid`` (rows, columns).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    heads: int
    temperature: float = 1.0
    tables: tuple[Tensor, Tensor] | None = None
    grid: tuple[int, int] = (0, 0)


def draw(
    head_dim: int,
    queries: int,
    keys: int,
    *,
    heads: int = 2,
    batch: int = 1,
    dtype: torch.dtype = torch.float16,
    magnitude: float = 1.0,
    seed: int = 0,
) -> Case:
    """A cross-attention of random tokens; key and value are the halves of one packed tensor."""
    generator = torch.Generator().manual_seed(seed)
    width = heads * head_dim
    query = (torch.randn(batch, queries, width, generator=generator) * magnitude).to(dtype)
    packed = (torch.randn(batch, keys, 2 * width, generator=generator) * magnitude).to(dtype)
    return Case(query, packed[..., :width], packed[..., width:], heads)


def draw_relative(head_dim: int, grid: tuple[int, int], *, heads: int = 1, batch: int = 1, seed: int = 0) -> Case:
    """A self-attention over a grid with relative positions that are not zero, from one packed qkv tensor."""
    generator = torch.Generator().manual_seed(seed)
    width, count = heads * head_dim, grid[0] * grid[1]
    query, key, value = torch.randn(batch, count, 3 * width, generator=generator).half().split(width, -1)
    by_row, by_column = (torch.randn(2 * side - 1, head_dim, generator=generator).half() * 0.3 for side in grid)
    return Case(query, key, value, heads, 1.0, (by_row, by_column), grid)


def interpret(case: Case, *, queries: int = 64, keys: int = 64, columns: int = 0) -> Tensor:
    """The kernel's output [B, Nq, heads * head_dim], where nothing was written: NaN."""
    batch, count, width = case.query.shape
    low, high = HEAD_BLOCKS[width // case.heads]
    output = torch.full((batch, count, width), torch.nan, dtype=case.query.dtype)
    tables = case.tables or (case.query, case.query)
    tensors = (case.query, case.key, case.value)
    assert all(tensor.stride(-1) == 1 for tensor in tensors)
    attention_kernel[(-(-count // queries), case.heads, batch)](
        *tensors,
        torch.tensor([case.temperature]),
        *tables,
        output,
        *(stride for tensor in tensors for stride in tensor.stride()[:2]),
        count,
        case.key.shape[1],
        *case.grid,
        HEAD_DIM=width // case.heads,
        LOW=low,
        HIGH=high,
        BLOCK_M=queries,
        BLOCK_N=keys,
        COLS=columns,
    )
    return output


def exact(case: Case) -> Tensor:
    """The float64 reference."""
    query, key, value = (tensor.double().numpy() for tensor in (case.query, case.key, case.value))
    tables = None if case.tables is None else (case.tables[0].double().numpy(), case.tables[1].double().numpy())
    return torch.from_numpy(attention(query, key, value, case.heads, case.temperature, tables, case.grid))


def plain_half(case: Case) -> Tensor:
    """The same written plainly in the inputs' own type, as `--attention plain` is."""
    batch, count, width = case.query.shape
    head_dim = width // case.heads

    def split(tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (case.heads, head_dim)).transpose(1, 2)  # -> [B, heads, N, head_dim]

    query, key, value = split(case.query), split(case.key), split(case.value)
    logits = (query * (head_dim**-0.5 / case.temperature)) @ key.transpose(-1, -2)
    if case.tables is not None:
        rows, columns = case.grid
        by_row, by_column = (
            table[torch.arange(side)[:, None] - torch.arange(side)[None] + side - 1]
            for table, side in zip(case.tables, case.grid, strict=True)
        )
        on_grid = query.unflatten(2, (rows, columns))
        row_term = torch.einsum("bhyxd,yzd->bhyxz", on_grid, by_row)
        column_term = torch.einsum("bhyxd,xzd->bhyxz", on_grid, by_column)
        logits = logits + (row_term[..., :, None] + column_term[..., None, :]).reshape(logits.shape)
    return (logits.softmax(-1) @ value).transpose(1, 2).reshape(batch, count, width)


def relative_error(output: Tensor, reference: Tensor) -> float:
    """Relative L2 of ``output`` against a float64 ``reference``; NaN counts as infinite."""
    error = float(torch.linalg.norm(output.double() - reference) / torch.linalg.norm(reference))
    return float("inf") if np.isnan(error) else error
