"""A photograph into one slot of the semantic input, in Triton: the chain of ``fill_semantic_input`` in one launch.

Three resizes, each rounded to uint8 as the CPU does, and nothing in between is written: every pixel works its way back
through the stretch (OpenCV), Pillow's vertical and horizontal pass, and the canvas of the depth input (OpenCV).
"""

from __future__ import annotations

import triton
import triton.language as tl

from briges.engines.images.sampling_kernel import (
    antialiased_share,
    antialiased_start,
    antialiased_total,
    clamp,
    fixed_weight,
    load_rgb,
    pillow_weight,
    position,
    store_rgb,
    within,
)

# Half of Pillow's unit, 2^-22, with which its sums begin: so they are rounded and not cut off.
_HALF: tl.constexpr = tl.constexpr(1 << 21)


@triton.jit
def semantic_input_kernel(
    source,
    out,
    source_height,
    source_width,
    pitch_bytes,
    bgr,
    canvas_height,
    canvas_width,
    top,
    left,
    inner_height,
    inner_width,
    fill_red,
    fill_green,
    fill_blue,
    resized_height,
    resized_width,
    row_taps,
    column_taps,
    height,
    width,
    mean_red,
    mean_green,
    mean_blue,
    std_red,
    std_green,
    std_blue,
    PLANES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One program per BLOCK pixels: grid [cdiv(height * width, BLOCK)].

    source: uint8 [source_height, source_width, 3], rows ``pitch_bytes`` apart, BGR where ``bgr`` is 1
    out: float32 [3, height, width], (value - mean) / std, where PLANES; else uint8 [height, width, 3]; RGB
    canvas: the size of the depth input, the photograph at top, left, inner_height, inner_width, the rest ``fill``
    resized: the size that Pillow makes of the canvas; taps: how many canvas pixels it reads at most
    """
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y = clamp(pixel // width, height)
    x = pixel % width
    before_y, part_y = position(y, height, resized_height)
    before_x, part_x = position(x, width, resized_width)
    # A side that is not stretched has one tap of weight 1: the second would double the work.
    stretch_rows = tl.where(resized_height == height, 1, 2)
    stretch_columns = tl.where(resized_width == width, 1, 2)
    if PLANES:
        red = tl.zeros([BLOCK], tl.float32)
        green = tl.zeros([BLOCK], tl.float32)
        blue = tl.zeros([BLOCK], tl.float32)
    else:
        red = tl.zeros([BLOCK], tl.int32)
        green = tl.zeros([BLOCK], tl.int32)
        blue = tl.zeros([BLOCK], tl.int32)
    for row in range(stretch_rows):
        row_red = tl.zeros_like(red)
        row_green = tl.zeros_like(green)
        row_blue = tl.zeros_like(blue)
        for column in range(stretch_columns):
            r, g, b = _resized(
                source,
                clamp(before_y + row, resized_height),
                clamp(before_x + column, resized_width),
                source_height,
                source_width,
                pitch_bytes,
                bgr,
                canvas_height,
                canvas_width,
                top,
                left,
                inner_height,
                inner_width,
                fill_red,
                fill_green,
                fill_blue,
                resized_height,
                resized_width,
                row_taps,
                column_taps,
                BLOCK,
            )
            if PLANES:
                weight = tl.where(column == 0, 1.0 - part_x, part_x)
                row_red += weight * r
                row_green += weight * g
                row_blue += weight * b
            else:
                fixed = fixed_weight(part_x, column)
                row_red += fixed * r.to(tl.int32)
                row_green += fixed * g.to(tl.int32)
                row_blue += fixed * b.to(tl.int32)
        if PLANES:
            weight_y = tl.where(row == 0, 1.0 - part_y, part_y)
            red += weight_y * row_red
            green += weight_y * row_green
            blue += weight_y * row_blue
        else:
            fixed_y = fixed_weight(part_y, row)
            red += _scaled(fixed_y, row_red)
            green += _scaled(fixed_y, row_green)
            blue += _scaled(fixed_y, row_blue)
    if PLANES:
        red = (red - mean_red) / std_red
        green = (green - mean_green) / std_green
        blue = (blue - mean_blue) / std_blue
    else:
        red = (red + 2) >> 2
        green = (green + 2) >> 2
        blue = (blue + 2) >> 2
    store_rgb(out, y, x, height, width, red, green, blue, pixel < height * width, PLANES)


@triton.jit
def _resized(
    source,
    y,
    x,
    source_height,
    source_width,
    pitch_bytes,
    bgr,
    canvas_height,
    canvas_width,
    top,
    left,
    inner_height,
    inner_width,
    fill_red,
    fill_green,
    fill_blue,
    resized_height,
    resized_width,
    row_taps,
    column_taps,
    BLOCK: tl.constexpr,
):
    """Rows ``y``, columns ``x`` of what Pillow makes of the canvas: whole numbers in float32."""
    red = tl.full([BLOCK], _HALF, tl.int32)
    green = tl.full([BLOCK], _HALF, tl.int32)
    blue = tl.full([BLOCK], _HALF, tl.int32)
    first_y = antialiased_start(y, resized_height, canvas_height)
    first_x = antialiased_start(x, resized_width, canvas_width)
    total_y = antialiased_total(y, resized_height, canvas_height, first_y, row_taps)
    total_x = antialiased_total(x, resized_width, canvas_width, first_x, column_taps)
    for row in range(row_taps):
        weight_y = pillow_weight(antialiased_share(y, resized_height, canvas_height, first_y + row), total_y)
        row_red = tl.full([BLOCK], _HALF, tl.int32)
        row_green = tl.full([BLOCK], _HALF, tl.int32)
        row_blue = tl.full([BLOCK], _HALF, tl.int32)
        for column in range(column_taps):
            weight = pillow_weight(antialiased_share(x, resized_width, canvas_width, first_x + column), total_x)
            r, g, b = _canvas(
                source,
                first_y + row - top,
                first_x + column - left,
                source_height,
                source_width,
                pitch_bytes,
                bgr,
                inner_height,
                inner_width,
                fill_red,
                fill_green,
                fill_blue,
                BLOCK,
            )
            row_red += weight * r
            row_green += weight * g
            row_blue += weight * b
        red += weight_y * (row_red >> 22)
        green += weight_y * (row_green >> 22)
        blue += weight_y * (row_blue >> 22)
    return (red >> 22).to(tl.float32), (green >> 22).to(tl.float32), (blue >> 22).to(tl.float32)


@triton.jit
def _canvas(
    source,
    y,
    x,
    source_height,
    source_width,
    pitch_bytes,
    bgr,
    inner_height,
    inner_width,
    fill_red,
    fill_green,
    fill_blue,
    BLOCK: tl.constexpr,
):
    """Rows ``y``, columns ``x`` of the photograph as OpenCV resizes it to the inner size: int32; outside, the fill."""
    inside = within(y, x, inner_height, inner_width)
    before_y, part_y = position(clamp(y, inner_height), inner_height, source_height)
    before_x, part_x = position(clamp(x, inner_width), inner_width, source_width)
    red = tl.zeros([BLOCK], tl.int32)
    green = tl.zeros([BLOCK], tl.int32)
    blue = tl.zeros([BLOCK], tl.int32)
    for row in tl.static_range(2):
        start = clamp(before_y + row, source_height) * pitch_bytes
        r0, g0, b0 = load_rgb(source, start + clamp(before_x, source_width) * 3, bgr, inside)
        r1, g1, b1 = load_rgb(source, start + clamp(before_x + 1, source_width) * 3, bgr, inside)
        near = fixed_weight(part_x, 0)
        far = fixed_weight(part_x, 1)
        weight_y = fixed_weight(part_y, row)
        red += _scaled(weight_y, near * r0 + far * r1)
        green += _scaled(weight_y, near * g0 + far * g1)
        blue += _scaled(weight_y, near * b0 + far * b1)
    red = tl.where(inside, (red + 2) >> 2, fill_red)
    green = tl.where(inside, (green + 2) >> 2, fill_green)
    blue = tl.where(inside, (blue + 2) >> 2, fill_blue)
    return red, green, blue


@triton.jit
def _scaled(weight, row):
    """One row's share of a pixel, times 4, rounded down on the way as OpenCV rounds it."""
    return (weight * (row >> 4)) >> 16
