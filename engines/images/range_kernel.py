"""The range of a depth map, in Triton: from the partial minima and maxima, or from a histogram."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def range_kernel(partials, limits, count, BLOCK: tl.constexpr):
    """One program. partials: float32 [count, 2]; limits: float32 [2], minimum and maximum, NaN if one of them is."""
    low = tl.full([BLOCK], float("inf"), tl.float32)
    high = tl.full([BLOCK], float("-inf"), tl.float32)
    unusable = tl.zeros([BLOCK], tl.int32)
    for start in range(0, count, BLOCK):
        index = start + tl.arange(0, BLOCK)
        part_low = tl.load(partials + 2 * index, mask=index < count, other=float("inf"))
        part_high = tl.load(partials + 2 * index + 1, mask=index < count, other=float("-inf"))
        unusable |= ((part_low != part_low) | (part_high != part_high)).to(tl.int32)
        low = tl.minimum(low, part_low)
        high = tl.maximum(high, part_high)
    broken = tl.max(unusable, 0) > 0
    tl.store(limits, tl.where(broken, float("nan"), tl.min(low, 0)))
    tl.store(limits + 1, tl.where(broken, float("nan"), tl.max(high, 0)))


@triton.jit
def histogram_kernel(depth, limits, histogram, count, BINS: tl.constexpr, BLOCK: tl.constexpr):
    """One program per BLOCK values: grid [cdiv(count, BLOCK)].

    depth: float32 [count]; limits: float32 [2], its minimum and maximum
    histogram: int32 [BINS], zero before: counts are added; of a constant map everything is in bin 0
    """
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    low = tl.load(limits)
    span = tl.load(limits + 1) - low
    value = tl.load(depth + index, mask=index < count, other=0.0)
    place = (value - low) * tl.where(span > 0, BINS / span, 0.0)
    # A NaN belongs nowhere, and an address made of it must not exist.
    bin_index = tl.where(place >= 0, tl.minimum(place, BINS - 1.0), 0.0).to(tl.int32)
    tl.atomic_add(histogram + bin_index, 1, mask=index < count)


@triton.jit
def percentile_kernel(histogram, limits, clipped, low_rank, high_rank, BINS: tl.constexpr):
    """One program. Ranks count from 1.

    histogram: int32 [BINS] over limits, float32 [2]
    clipped: float32 [2], the lower edge of the bin that holds the value of ``low_rank``, the upper of ``high_rank``'s
    """
    bins = tl.arange(0, BINS)
    cumulative = tl.cumsum(tl.load(histogram + bins), 0)
    low_bin = tl.sum((cumulative < low_rank).to(tl.int32), 0)
    high_bin = tl.sum((cumulative < high_rank).to(tl.int32), 0)
    low = tl.load(limits)
    width = (tl.load(limits + 1) - low) / BINS
    tl.store(clipped, low + low_bin.to(tl.float32) * width)
    tl.store(clipped + 1, low + (high_bin + 1).to(tl.float32) * width)
