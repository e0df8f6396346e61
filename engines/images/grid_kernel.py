"""A photograph in 64 x 64 samples, in Triton: enough to see that the scene has changed."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def grid_kernel(source, out, source_height, source_width, pitch_bytes, SIDE: tl.constexpr):
    """One program per row: grid [SIDE].

    source: uint8 [source_height, source_width, 3], rows ``pitch_bytes`` apart
    out: uint8 [SIDE, SIDE], green at the centres of SIDE x SIDE equal fields
    """
    row = tl.program_id(0)
    column = tl.arange(0, SIDE)
    y = (2 * row + 1) * source_height // (2 * SIDE)
    x = (2 * column + 1) * source_width // (2 * SIDE)
    tl.store(out + row * SIDE + column, tl.load(source + y * pitch_bytes + x * 3 + 1))
