"""The semantic input by the kernel, interpreted, is the CPU's chain of three resizes."""

from __future__ import annotations

import numpy as np
import pytest
from support.photographs import ASPECTS, photograph, real_photographs

from briges.runtime.preprocess import fill_semantic_input, place
from briges.runtime.sidecar import ImageInput

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def check(device, kernels, image, dtype, canvas, side, *, fit="pad", padding_bytes=0, bgr=False):
    """Within 1 of 255; every byte of a poisoned output is written."""
    depth = ImageInput("image", dtype, *canvas, MEAN, STD, "cubic")
    spec = ImageInput("semantic_image", dtype, side, side, MEAN, STD, "linear-antialiased-stretch")
    placement = place(*image.shape[:2], depth, fit)
    expected = np.empty(spec.shape(1)[1:], dtype)
    fill_semantic_input(image, depth, spec, placement, expected)
    out = np.full_like(expected, 171 if dtype == "uint8" else np.nan)
    source = device.source(image, padding_bytes=padding_bytes, bgr=bgr)
    kernels.fill_semantic_input(source, depth, spec, placement, device.address(out), None)
    difference = np.abs(out.astype(np.float64) - expected)
    allowed = 1 if dtype == "uint8" else 1 / min(STD) + 1e-3
    print(f"error {difference.max():.1e} of {allowed:.1e}, differing {(difference > allowed / 100).mean():.1e}")
    assert difference.max() <= allowed
    # Rounding where the CPU rounds keeps almost every pixel; rounding elsewhere would change a tenth of them.
    assert (difference > allowed / 100).mean() < 0.01


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("aspect", ASPECTS)
def test_photographs_of_every_aspect_are_the_cpus(device, kernels, aspect, dtype):
    check(device, kernels, photograph(aspect), dtype, (70, 98), 128)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(
    ("canvas", "side"), [((98, 98), 194), ((98, 98), 98), ((98, 70), 131), ((140, 140), 64), ((126, 182), 50)]
)
def test_larger_equal_and_smaller_squares_are_the_cpus(device, kernels, canvas, side, dtype):
    check(device, kernels, photograph("16:9"), dtype, canvas, side)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_bgr_image_with_pitched_rows_becomes_rgb(device, kernels, dtype):
    check(device, kernels, photograph("kitti"), dtype, (70, 98), 100, fit="stretch", padding_bytes=11, bgr=True)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_sizes_of_briges_are_the_cpus(device, kernels, dtype):
    check(device, kernels, photograph("4:3"), dtype, (518, 686), 1024)


def test_the_real_photographs_are_the_cpus(device, kernels, test_data):
    for image in real_photographs(test_data).values():
        for dtype in ("uint8", "float32"):
            check(device, kernels, image, dtype, (70, 98), 128)
