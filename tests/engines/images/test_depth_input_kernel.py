"""The depth input by the kernel, interpreted, is the CPU's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.photographs import ASPECTS, photograph, real_photographs

from briges.runtime.preprocess import Placement, fill_depth_input, place
from briges.runtime.sidecar import ImageInput

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def check(device, kernels, image, spec, placement, *, padding_bytes=0, bgr=False):
    """Within 1 of 255, or 1e-3 of a normalised unit; every byte of a poisoned output is written."""
    expected = np.empty(spec.shape(1)[1:], spec.dtype)
    fill_depth_input(image, spec, placement, expected)
    out = np.full_like(expected, 171 if spec.dtype == "uint8" else np.nan)
    source = device.source(image, padding_bytes=padding_bytes, bgr=bgr)
    kernels.fill_depth_input(source, spec, placement, device.address(out), None)
    error = np.abs(out.astype(np.float64) - expected).max()
    print(f"error {error:.1e}")
    assert error <= (1 if spec.dtype == "uint8" else 1e-3)


def spec_of(dtype, height=126, width=168):
    return ImageInput("image", dtype, height, width, MEAN, STD, "cubic")


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("aspect", ASPECTS)
def test_photographs_of_every_aspect_are_placed_as_on_the_cpu(device, kernels, aspect, dtype):
    image, spec = photograph(aspect), spec_of(dtype)
    check(device, kernels, image, spec, place(*image.shape[:2], spec, "pad"))


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_bgr_image_with_pitched_rows_becomes_rgb(device, kernels, dtype):
    image, spec = photograph("portrait"), spec_of(dtype)
    check(device, kernels, image, spec, place(*image.shape[:2], spec, "pad"), padding_bytes=37, bgr=True)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("size", [(31, 47), (126, 168), (17, 200), (200, 15), (252, 336)])
def test_odd_sizes_are_stretched_up_and_down(device, kernels, size, dtype):
    image = cv2.resize(photograph("4:3"), size[::-1], interpolation=cv2.INTER_AREA)
    spec = spec_of(dtype)
    check(device, kernels, image, spec, place(*size, spec, "stretch"))


def test_a_photograph_of_one_pixel_in_a_corner_leaves_the_rest_mean(device, kernels):
    check(device, kernels, photograph("square"), spec_of("uint8", 42, 42), Placement(41, 0, 1, 1))


def test_the_real_photographs_are_placed_as_on_the_cpu(device, kernels, test_data):
    for image in real_photographs(test_data).values():
        for dtype in ("uint8", "float32"):
            spec = spec_of(dtype)
            check(device, kernels, image, spec, place(*image.shape[:2], spec, "pad"))
