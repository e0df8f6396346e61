"""A photograph into one slot of the depth input, in Triton: what ``runtime/preprocess.py`` does with OpenCV."""

from __future__ import annotations

import triton
import triton.language as tl

from briges.engines.images.sampling_kernel import clamp, cubic_weight, load_rgb, position, rint, store_rgb, within


@triton.jit
def depth_input_kernel(
    source,
    out,
    source_height,
    source_width,
    pitch_bytes,
    bgr,
    height,
    width,
    top,
    left,
    inner_height,
    inner_width,
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
    top, left, inner_height, inner_width: where the photograph lies; around it is rint(mean), or 0.0 where PLANES
    """
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y = clamp(pixel // width, height)
    x = pixel % width
    inside = within(y - top, x - left, inner_height, inner_width)
    before_y, part_y = position(clamp(y - top, inner_height), inner_height, source_height)
    before_x, part_x = position(clamp(x - left, inner_width), inner_width, source_width)
    red = tl.zeros([BLOCK], tl.float32)
    green = tl.zeros([BLOCK], tl.float32)
    blue = tl.zeros([BLOCK], tl.float32)
    for row in tl.static_range(4):
        weight_y = cubic_weight(tl.abs(part_y + (1 - row)))
        start = clamp(before_y + (row - 1), source_height) * pitch_bytes
        for column in tl.static_range(4):
            weight = weight_y * cubic_weight(tl.abs(part_x + (1 - column)))
            tap_x = clamp(before_x + (column - 1), source_width)
            r, g, b = load_rgb(source, start + tap_x * 3, bgr, inside)
            red += weight * r
            green += weight * g
            blue += weight * b
    if PLANES:
        red = tl.where(inside, (red - mean_red) / std_red, 0.0)
        green = tl.where(inside, (green - mean_green) / std_green, 0.0)
        blue = tl.where(inside, (blue - mean_blue) / std_blue, 0.0)
    else:
        red = rint(tl.minimum(tl.maximum(tl.where(inside, red, mean_red), 0.0), 255.0))
        green = rint(tl.minimum(tl.maximum(tl.where(inside, green, mean_green), 0.0), 255.0))
        blue = rint(tl.minimum(tl.maximum(tl.where(inside, blue, mean_blue), 0.0), 255.0))
    store_rgb(out, y, x, height, width, red, green, blue, pixel < height * width, PLANES)
