"""Depth comes back at the photograph's size, and pictures of it keep its order and its range."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from briges.runtime.postprocess import COLORMAPS, colourise, normalise, restore_size, to_uint16

SIZES = [(480, 640), (126, 126), (63, 63), (375, 1242), (100, 31), (252, 252), (14, 448)]


def depth_map(height: int = 126, width: int = 126) -> NDArray[np.float32]:
    """float32 [height, width], 0..20, smooth with a step, as depth is."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return (10 + 5 * np.sin(x / 9) * np.cos(y / 7) + 5 * (x > y)).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
def test_the_size_is_restored_as_torch_does_without_aligned_corners(size):
    depth = depth_map()
    tensor = torch.from_numpy(depth)[None, None]
    expected = torch.nn.functional.interpolate(tensor, size, mode="bilinear", align_corners=False)[0, 0].numpy()
    restored = restore_size(depth, *size)
    assert restored.dtype == np.float32
    assert restored.shape == size
    assert np.abs(restored - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_crop_of_a_larger_map_is_restored_without_its_surroundings():
    full = np.full((126, 126), np.nan, np.float32)
    full[20:80, 30:100] = depth_map(60, 70)
    assert (restore_size(full[20:80, 30:100], 200, 300) == restore_size(depth_map(60, 70), 200, 300)).all()


@pytest.mark.parametrize("size", SIZES)
def test_a_given_array_is_written_whole_and_returned(size):
    out = np.full(size, np.nan, np.float32)
    assert restore_size(depth_map(), *size, out) is out
    assert (out == restore_size(depth_map(), *size)).all()


def test_normalised_depth_spans_0_to_1_and_says_its_range():
    depth = depth_map()
    scaled, low, high = normalise(depth)
    assert (low, high) == (depth.min(), depth.max())
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert scaled.dtype == np.float32
    assert np.abs(low + scaled * (high - low) - depth).max() <= 1e-5


@pytest.mark.parametrize("value", [0.0, 3.5])
def test_a_constant_map_becomes_zeros(value):
    depth = np.full((20, 30), value, np.float32)
    scaled, low, high = normalise(depth)
    assert (low, high) == (value, value)
    assert not scaled.any()
    assert not to_uint16(depth)[0].any()
    assert len(np.unique(colourise(depth, "inferno").reshape(-1, 3), axis=0)) == 1


@given(st.lists(st.floats(0, 1e6, width=32), min_size=2, max_size=50))
def test_sixteen_bits_can_be_inverted(values):
    depth = np.array([values], np.float32)
    pixels, low, high = to_uint16(depth)
    assert pixels.dtype == np.uint16
    if low < high:
        assert (pixels.min(), pixels.max()) == (0, 65535)
    restored = low + pixels.astype(np.float64) / 65535 * (high - low)
    assert np.abs(restored - depth).max() <= (high - low) * (0.5 / 65535 + 1e-6)


@pytest.mark.parametrize("name", COLORMAPS)
def test_every_colour_table_is_applied_in_rgb(name):
    ramp = np.linspace(0, 7, 256, dtype=np.float32)[None].repeat(3, axis=0)
    coloured = colourise(ramp, name)
    assert coloured.dtype == np.uint8
    assert coloured.shape == (3, 256, 3)
    assert coloured.flags.c_contiguous
    levels = np.arange(256, dtype=np.uint8)[None]
    table = cv2.applyColorMap(levels, getattr(cv2, f"COLORMAP_{name.upper()}"))
    assert (coloured[0] == cv2.cvtColor(table, cv2.COLOR_BGR2RGB)[0]).all()


def test_near_is_the_warm_end_and_far_the_dark_one():
    far, near = colourise(np.array([[0.0, 1.0]], np.float32), "inferno")[0].astype(int)
    assert far.sum() < 20
    assert near[0] > near[2]  # red above blue: OpenCV's own order would have them swapped
