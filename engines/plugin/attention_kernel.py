"""The attention kernel, in Triton: softmax(Q K^T / (sqrt(head_dim) tau) [+ rel_h + rel_w]) V, one pass over the keys.

An online softmax (Milakov and Gimelshein, arXiv 1805.02867) in the tiling of FlashAttention-2 (arXiv 2307.08691): a
program owns BLOCK_M queries of one head, walks over the keys in tiles of BLOCK_N, and never writes a logit. Sums are
float32; the weights are rounded to the inputs' type before they meet the values, as every fused attention does.

Relative positions are SAM's (facebookresearch/segment-anything, ``add_decomposed_rel_pos``): the *unscaled* query times
a table by row distance, plus one by column distance. Both products are made once per program, [BLOCK_M, distances] on
tensor cores; what each query needs of them, one number per key row and one per key column, is gathered once. Key tiles
are whole rows of the grid, padded to COLS columns, so that the column term is the same for every tile.

This file knows nothing of TensorRT. Its argument order is what ``compile_kernels`` writes down and the plugin packs.
"""

from __future__ import annotations

import triton
import triton.language as tl

_LOG2E: tl.constexpr = tl.constexpr(1.4426950408889634)


@triton.jit
def attention_kernel(
    query,
    key,
    value,
    temperature,
    rel_pos_h,
    rel_pos_w,
    output,
    query_stride_b,
    query_stride_n,
    key_stride_b,
    key_stride_n,
    value_stride_b,
    value_stride_n,
    query_count,
    key_count,
    grid_h,
    grid_w,
    HEAD_DIM: tl.constexpr,
    LOW: tl.constexpr,
    HIGH: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    COLS: tl.constexpr,
):
    """One program per (query tile, head, batch): grid [cdiv(query_count, BLOCK_M), heads, batch].

    query, key, value: half [B, N, channels] by strides in elements, last stride 1, at this node's first channel
    temperature: float32 [1], > 0
    rel_pos_h, rel_pos_w: half [2 * grid_h - 1, HEAD_DIM] and [2 * grid_w - 1, HEAD_DIM]; not read where COLS is 0
    output: half [B, query_count, heads * HEAD_DIM], contiguous
    HEAD_DIM: channels of a head, in two blocks of powers of two: LOW, and HIGH after it (0: one block, its end masked)
    COLS: 0 without relative positions; otherwise a power of two, at least grid_h and grid_w
    """
    tile = tl.program_id(0)
    head = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    query += batch * query_stride_b + head * HEAD_DIM
    key += batch * key_stride_b + head * HEAD_DIM
    value += batch * value_stride_b + head * HEAD_DIM
    output += (batch * query_count * tl.num_programs(1) + head) * HEAD_DIM

    m = tile * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.arange(0, BLOCK_N)
    low = tl.arange(0, LOW)
    in_low = low < HEAD_DIM  # of a single block the end may be padding; of two neither is
    q_low = _load(query, m, query_stride_n, m < query_count, low, in_low)
    acc_low = tl.zeros([BLOCK_M, LOW], tl.float32)
    if HIGH > 0:
        high = LOW + tl.arange(0, HIGH)
        in_high = high < HEAD_DIM
        q_high = _load(query, m, query_stride_n, m < query_count, high, in_high)
        acc_high = tl.zeros([BLOCK_M, HIGH], tl.float32)
    # exp2 is one instruction and exp is two: logits are kept in units of log2(e).
    scale = _LOG2E / tl.load(temperature) * (1.0 / tl.sqrt(HEAD_DIM * 1.0))

    if COLS > 0:
        distances = tl.arange(0, 2 * COLS)
        by_row = tl.dot(q_low, tl.trans(_load(rel_pos_h, distances, HEAD_DIM, distances < 2 * grid_h - 1, low, in_low)))
        by_col = tl.dot(q_low, tl.trans(_load(rel_pos_w, distances, HEAD_DIM, distances < 2 * grid_w - 1, low, in_low)))
        if HIGH > 0:
            rows_high = _load(rel_pos_h, distances, HEAD_DIM, distances < 2 * grid_h - 1, high, in_high)
            cols_high = _load(rel_pos_w, distances, HEAD_DIM, distances < 2 * grid_w - 1, high, in_high)
            by_row = tl.dot(q_high, tl.trans(rows_high), by_row)
            by_col = tl.dot(q_high, tl.trans(cols_high), by_col)
        key_row = tl.arange(0, COLS)
        # [BLOCK_M, 2 COLS] -> [BLOCK_M, COLS] by key row, and -> [BLOCK_M, BLOCK_N] by the column of each key
        row_term = _LOG2E * _pick(by_row, (m // grid_w)[:, None] - key_row[None, :] + grid_h - 1, COLS)
        col_term = _LOG2E * _pick(by_col, (m % grid_w)[:, None] - (n % COLS)[None, :] + grid_w - 1, COLS)
        rows_per_tile: tl.constexpr = BLOCK_N // COLS
        tiles = tl.cdiv(grid_h, rows_per_tile)
    else:
        tiles = tl.cdiv(key_count, BLOCK_N)

    largest = tl.full([BLOCK_M], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK_M], tl.float32)
    for j in range(tiles):
        if COLS > 0:
            row = j * rows_per_tile + n // COLS
            token = row * grid_w + n % COLS
            valid = (row < grid_h) & (n % COLS < grid_w)
        else:
            token = j * BLOCK_N + n
            valid = token < key_count
        logits = tl.dot(q_low, tl.trans(_load(key, token, key_stride_n, valid, low, in_low)))
        if HIGH > 0:
            logits = tl.dot(q_high, tl.trans(_load(key, token, key_stride_n, valid, high, in_high)), logits)
        logits = logits * scale
        if COLS > 0:
            logits += col_term
            for r in tl.static_range(rows_per_tile):
                of_row = tl.sum(tl.where(key_row[None, :] == j * rows_per_tile + r, row_term, 0.0), 1)
                if rows_per_tile > 1:
                    logits += tl.where((n // COLS == r)[None, :], of_row[:, None], 0.0)
                else:
                    logits += of_row[:, None]
        logits = tl.where(valid[None, :], logits, float("-inf"))
        new_largest = tl.maximum(largest, tl.max(logits, 1))
        weights = tl.exp2(logits - new_largest[:, None])
        shrink = tl.exp2(largest - new_largest)
        total = total * shrink + tl.sum(weights, 1)
        largest = new_largest
        rounded = weights.to(query.dtype.element_ty)
        v_low = _load(value, token, value_stride_n, valid, low, in_low)
        acc_low = tl.dot(rounded, v_low, acc_low * shrink[:, None])
        if HIGH > 0:
            v_high = _load(value, token, value_stride_n, valid, high, in_high)
            acc_high = tl.dot(rounded, v_high, acc_high * shrink[:, None])

    stride = tl.num_programs(1) * HEAD_DIM
    _store(output, m, stride, m < query_count, low, in_low, acc_low / total[:, None])
    if HIGH > 0:
        _store(output, m, stride, m < query_count, high, in_high, acc_high / total[:, None])


@triton.jit
def _load(base, row, stride, in_rows, column, in_columns):
    """[rows, columns] at base[row * stride + column], zero outside."""
    inside = in_rows[:, None] & in_columns[None, :]
    return tl.load(base + row[:, None] * stride + column[None, :], mask=inside, other=0.0)


@triton.jit
def _store(base, row, stride, in_rows, column, in_columns, tile):
    inside = in_rows[:, None] & in_columns[None, :]
    tl.store(base + row[:, None] * stride + column[None, :], tile.to(base.dtype.element_ty), mask=inside)


@triton.jit
def _pick(products, distance, COLS: tl.constexpr):
    """products[m, distance[m, i]]; keys beyond the grid, masked later, get any number of the row."""
    return tl.gather(products, tl.minimum(tl.maximum(distance, 0), 2 * COLS - 1), 1)
