"""Where the image kernels read: positions and weights of OpenCV's and Pillow's kernels, in Triton.

Positions are exact: half-pixel centres are fractions of the two sizes, and stay whole numbers until the last division.
The sizes that ``check_image_size`` and the exporter allow keep every product within 32 bits.
"""

from __future__ import annotations

import triton
import triton.language as tl

# Adding and subtracting 1.5 * 2^23 rounds a float32 to the nearest whole number, halves to even, as np.rint does.
_ROUNDER: tl.constexpr = tl.constexpr(12582912.0)
_CUBIC_A: tl.constexpr = tl.constexpr(-0.75)


@triton.jit
def rint(value):
    """The nearest whole number of float32 below 2^22, halves to even."""
    return (value + _ROUNDER) - _ROUNDER


@triton.jit
def clamp(index, count):
    """``index`` within 0 .. count - 1: a replicated border."""
    return tl.minimum(tl.maximum(index, 0), count - 1)


@triton.jit
def within(y, x, height, width):
    """Whether row ``y`` and column ``x`` lie in 0 .. height - 1, 0 .. width - 1."""
    return (y >= 0) & (y < height) & (x >= 0) & (x < width)


@triton.jit
def position(index, count, source_count):
    """Of pixel ``index`` of ``count``, in ``source_count`` pixels: the one before it (-1 at least), and the fraction.

    floor and fraction of (index + 0.5) * source_count / count - 0.5.
    """
    numerator = (2 * index + 1) * source_count + count
    before = numerator // (2 * count)
    fraction = (numerator - before * 2 * count).to(tl.float32) / (2 * count).to(tl.float32)
    # OpenCV has the whole position in one float32, and the fraction is what that leaves.
    whole = (before - 1).to(tl.float32)
    return before - 1, (whole + fraction) - whole


@triton.jit
def cubic_weight(distance):
    """Keys' cubic convolution with a = -0.75, as OpenCV's INTER_CUBIC; distance: 0 to 2."""
    near = ((_CUBIC_A + 2) * distance - (_CUBIC_A + 3)) * distance * distance + 1
    far = ((_CUBIC_A * distance - 5 * _CUBIC_A) * distance + 8 * _CUBIC_A) * distance - 4 * _CUBIC_A
    return tl.where(distance <= 1, near, far)


@triton.jit
def fixed_weight(fraction, tap):
    """The weight of tap 0 or 1 of OpenCV's INTER_LINEAR on uint8: int32, in 1/2048."""
    return rint(tl.where(tap == 0, 1.0 - fraction, fraction) * 2048.0).to(tl.int32)


@triton.jit
def antialiased_start(index, count, source_count):
    """The first pixel that Pillow's antialiased BILINEAR reads for pixel ``index`` of ``count``."""
    support = tl.maximum(source_count, count)  # in units of 1 / count
    return tl.maximum((2 * index + 1) * source_count - 2 * support + count, 0) // (2 * count)


@triton.jit
def antialiased_share(index, count, source_count, tap):
    """How much source pixel ``tap`` counts, a whole number; 0 outside of the image and of the support."""
    support = tl.maximum(source_count, count)
    distance = tl.abs((2 * tap + 1) * count - (2 * index + 1) * source_count)
    return tl.where(tap < source_count, tl.maximum(2 * support - distance, 0), 0)


@triton.jit
def antialiased_total(index, count, source_count, first, taps):
    """The sum of the shares of the ``taps`` pixels from ``first`` on."""
    total = antialiased_share(index, count, source_count, first)
    for tap in range(1, taps):
        total += antialiased_share(index, count, source_count, first + tap)
    return total


@triton.jit
def pillow_weight(share, total):
    """share / total in units of 2^-22, rounded, as Pillow has its weights: ties then fall as they do there."""
    whole = total.to(tl.int64)
    return (((share.to(tl.int64) << 23) + whole) // (2 * whole)).to(tl.int32)


@triton.jit
def load_rgb(source, offset, bgr, mask):
    """int32 red, green and blue of the pixel at ``source`` + ``offset``, whose bytes are BGR where ``bgr`` is 1."""
    first = tl.load(source + offset, mask=mask, other=0).to(tl.int32)
    green = tl.load(source + offset + 1, mask=mask, other=0).to(tl.int32)
    third = tl.load(source + offset + 2, mask=mask, other=0).to(tl.int32)
    return tl.where(bgr != 0, third, first), green, tl.where(bgr != 0, first, third)


@triton.jit
def store_rgb(out, y, x, height, width, red, green, blue, mask, PLANES: tl.constexpr):
    """Write to out [3, height, width] where PLANES, else to out [height, width, 3]."""
    if PLANES:
        pixel = y * width + x
        tl.store(out + pixel, red, mask=mask)
        tl.store(out + height * width + pixel, green, mask=mask)
        tl.store(out + 2 * height * width + pixel, blue, mask=mask)
    else:
        pixel = (y * width + x) * 3
        tl.store(out + pixel, red.to(tl.uint8), mask=mask)
        tl.store(out + pixel + 1, green.to(tl.uint8), mask=mask)
        tl.store(out + pixel + 2, blue.to(tl.uint8), mask=mask)
