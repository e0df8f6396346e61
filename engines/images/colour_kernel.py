"""A depth map in colours, in Triton."""

from __future__ import annotations

import triton
import triton.language as tl

from briges.engines.images.sampling_kernel import rint


@triton.jit
def colour_kernel(depth, limits, table, out, count, BLOCK: tl.constexpr):
    """One program per BLOCK pixels: grid [cdiv(count, BLOCK)].

    depth: float32 [count]; limits: float32 [2], the values of the first and the last colour
    table: uint8 [256, 3]; out: uint8 [count, 3], all first colour where the limits are not in order
    """
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    low = tl.load(limits)
    span = tl.load(limits + 1) - low
    value = tl.load(depth + index, mask=index < count, other=0.0)
    scaled = tl.where(span > 0, (value - low) / span, 0.0) * 255.0
    # A NaN compares as neither, and becomes the first colour: an address made of it must not exist.
    entry = rint(tl.where(scaled >= 0, tl.minimum(scaled, 255.0), 0.0)).to(tl.int32)
    for channel in tl.static_range(3):
        tl.store(out + index * 3 + channel, tl.load(table + entry * 3 + channel), mask=index < count)
