"""Depth at the photograph's size, its range and its colours by the kernels, interpreted, are the CPU's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from support.photographs import photograph

from briges.runtime.cuda.image_kernels import HISTOGRAM_BYTES
from briges.runtime.postprocess import HISTOGRAM_BINS, colourise, percentile_range, restore_size
from briges.runtime.preprocess import Placement
from briges.runtime.semantics import GRID


def depth_like(height, width):
    """float32 [height, width]: a photograph's blurred green plus a ramp, as uneven as depth is."""
    image = cv2.resize(photograph("square")[:, :, 1], (width, height), interpolation=cv2.INTER_AREA)
    return (image.astype(np.float32) / 32 + np.linspace(0, 3, height, dtype=np.float32)[:, None]).astype(np.float32)


def restore(device, kernels, network, placement, height, width):
    """The map and its limits, both poisoned before."""
    out, limits = np.full((height, width), np.nan, np.float32), np.full(2, 171, np.float32)
    partials = np.full(kernels.partials_bytes(height, width) // 4, np.nan, np.float32)
    addresses = [device.address(array) for array in (network, out, partials, limits)]
    kernels.restore_depth(addresses[0], network.shape[1], placement, height, width, addresses[1], addresses[2], None)
    kernels.find_range(addresses[2], height, width, addresses[3], None)
    return out, limits


@pytest.mark.parametrize("size", [(240, 320), (63, 63), (126, 168), (45, 301), (9, 2)])
@pytest.mark.parametrize(
    "placement", [Placement(0, 0, 126, 168), Placement(13, 7, 100, 150), Placement(125, 167, 1, 1)]
)
def test_the_crop_is_restored_and_its_range_found(device, kernels, placement, size):
    network = np.full((126, 168), 1e9, np.float32)
    placement.crop(network)[...] = depth_like(placement.height, placement.width)
    out, limits = restore(device, kernels, network, placement, *size)
    expected = restore_size(np.ascontiguousarray(placement.crop(network)), *size)
    assert np.abs(out - expected).max() <= 1e-4 * expected.max()
    assert limits.tolist() == [out.min(), out.max()]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_seen_in_the_range(device, kernels, value):
    network = depth_like(42, 56)
    network[20, 30] = value
    _, limits = restore(device, kernels, network, Placement(0, 0, 42, 56), 100, 150)
    assert not np.isfinite(limits).all()


def test_not_a_number_in_the_padding_is_not_seen(device, kernels):
    network = np.full((42, 56), np.nan, np.float32)
    network[5:30] = depth_like(25, 56)
    _, limits = restore(device, kernels, network, Placement(5, 0, 25, 56), 100, 150)
    assert np.isfinite(limits).all()


@pytest.mark.parametrize("percents", [(0, 100), (1, 99), (2, 98), (40, 60), (50, 50)])
def test_percentiles_are_the_cpus_within_a_bin(device, kernels, percents):
    depth = depth_like(123, 77)
    limits = np.array([depth.min(), depth.max()], np.float32)
    histogram, clipped = np.full(HISTOGRAM_BYTES // 4, 7, np.int32), np.full(2, np.nan, np.float32)
    addresses = [device.address(array) for array in (depth.reshape(-1), limits, histogram, clipped)]
    kernels.find_percentiles(addresses[0], depth.size, addresses[1], percents, addresses[2], addresses[3], None)
    assert histogram.sum() == depth.size
    bin_width = (limits[1] - limits[0]) / HISTOGRAM_BINS
    assert np.abs(clipped - np.array(percentile_range(depth, *percents))).max() <= 1.01 * bin_width


@pytest.mark.parametrize("limits", [None, (1.0, 6.5), (3.0, 3.0), (np.nan, np.nan)])
def test_colours_are_the_cpus(device, kernels, limits):
    depth = depth_like(61, 83)
    given = (float(depth.min()), float(depth.max())) if limits is None else limits
    ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], cv2.COLORMAP_BONE)[0, :, ::-1]
    out = np.full((depth.size, 3), 171, np.uint8)
    arrays = (depth.reshape(-1), np.array(given, np.float32), np.ascontiguousarray(ramp), out.reshape(-1))
    addresses = [device.address(array) for array in arrays]
    kernels.colourise(addresses[0], depth.size, *addresses[1:], None)
    expected = colourise(depth, "bone", limits).reshape(-1, 3)
    # One entry of the table away where a value lies between two, and OpenCV's neighbours are at most 2 apart.
    assert np.abs(out.astype(int) - expected).max() <= 2
    assert (out != expected).any(-1).mean() < 0.001


def test_not_a_number_has_the_first_colour(device, kernels):
    out = np.full(9, 171, np.uint8)
    table = np.arange(768, dtype=np.int32).astype(np.uint8)
    arrays = (np.array([np.nan, 0, 1], np.float32), np.array([0, 1], np.float32), table, out)
    addresses = [device.address(array) for array in arrays]
    kernels.colourise(addresses[0], 3, *addresses[1:], None)
    assert out.tolist() == [0, 1, 2, 0, 1, 2, 253, 254, 255]


@pytest.mark.parametrize("aspect", ["4:3", "kitti", "portrait"])
def test_the_grid_is_green_at_the_centres_of_64_by_64_fields(device, kernels, aspect):
    image = photograph(aspect)
    out = np.full(GRID**2, 171, np.uint8)
    kernels.sample_grid(device.source(image, padding_bytes=5), device.address(out), None)
    rows, columns = (((2 * np.arange(64) + 1) * side) // 128 for side in image.shape[:2])
    assert (out.reshape(64, 64) == image[rows[:, None], columns[None, :], 1]).all()
