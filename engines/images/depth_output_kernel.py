"""The network's depth at the photograph's size, in Triton, with what its range is made of."""

from __future__ import annotations

import triton
import triton.language as tl

from briges.engines.images.sampling_kernel import clamp, position


@triton.jit
def depth_output_kernel(
    depth,
    out,
    partials,
    network_width,
    top,
    left,
    inner_height,
    inner_width,
    height,
    width,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One program per ROWS x BLOCK pixels: grid [cdiv(width, BLOCK), cdiv(height, ROWS)].

    depth: float32 [network height, network_width]; the photograph lies at top, left, inner_height, inner_width
    out: float32 [height, width], bilinear, half-pixel centres, the edges of the photograph replicated
    partials: float32 [programs, 2], minimum and maximum of each program's pixels; NaN twice if one of them is NaN
    """
    y = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    x = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    before_y, part_y = position(clamp(y, height), height, inner_height)
    before_x, part_x = position(clamp(x, width), width, inner_width)
    upper = ((top + clamp(before_y, inner_height)) * network_width)[:, None]
    lower = ((top + clamp(before_y + 1, inner_height)) * network_width)[:, None]
    near = (left + clamp(before_x, inner_width))[None, :]
    far = (left + clamp(before_x + 1, inner_width))[None, :]
    across = part_x[None, :]
    above = tl.load(depth + upper + near) * (1.0 - across) + tl.load(depth + upper + far) * across
    below = tl.load(depth + lower + near) * (1.0 - across) + tl.load(depth + lower + far) * across
    value = above * (1.0 - part_y[:, None]) + below * part_y[:, None]
    # Pixels beyond the edge repeat the last one: they change neither minimum nor maximum.
    inside = (y < height)[:, None] & (x < width)[None, :]
    tl.store(out + y[:, None] * width + x[None, :], value, mask=inside)
    unusable = tl.max(tl.max((value != value).to(tl.int32), 1), 0) > 0
    low = tl.where(unusable, float("nan"), tl.min(tl.min(value, 1), 0))
    high = tl.where(unusable, float("nan"), tl.max(tl.max(value, 1), 0))
    program = tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)
    tl.store(partials + 2 * program, low)
    tl.store(partials + 2 * program + 1, high)
