"""Scale and shift that are known, against NumPy's polyfit and torch's nearest downscaling, and where there are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from briges.benchmarks.accuracy.alignment import Aligned, Unaligned, align

NO_LIMIT = (1e-5, math.inf)


def _depth(height: int = 12, width: int = 16) -> NDArray[np.float32]:
    return np.random.default_rng(3).uniform(0.5, 9, (height, width)).astype(np.float32)


def _all(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.ones(depth.shape, bool)


def _aligned(found: Aligned | Unaligned) -> Aligned:
    assert isinstance(found, Aligned), found
    return found


def test_a_known_scale_and_shift_are_found_and_depth_is_exact() -> None:
    depth = _depth()
    truth = (1 / (0.03 * depth + 0.2)).astype(np.float32)
    found = _aligned(align(depth, truth, _all(depth), NO_LIMIT))
    assert (found.scale, found.shift) == pytest.approx((0.03, 0.2), rel=1e-5)
    assert found.depth_m == pytest.approx(truth.ravel(), rel=1e-5)


def test_noise_is_fitted_as_polyfit_fits_it() -> None:
    depth = _depth()
    truth = np.random.default_rng(4).uniform(1, 20, depth.shape).astype(np.float32)
    valid = np.random.default_rng(5).random(depth.shape) < 0.6
    found = _aligned(align(depth, truth, valid, NO_LIMIT))
    expected = np.polyfit(depth[valid].astype(float), 1 / truth[valid].astype(float), 1)
    assert (found.scale, found.shift) == pytest.approx(tuple(expected), rel=1e-9)
    assert found.depth_m == pytest.approx(1 / np.polyval(expected, depth[valid].astype(float)), rel=1e-9)


def test_depth_of_zero_is_not_fitted_but_scored() -> None:
    depth = _depth()
    truth = (1 / (0.03 * depth + 0.2)).astype(np.float32)
    depth[0, :4] = 0
    found = _aligned(align(depth, truth, _all(depth), NO_LIMIT))
    assert (found.scale, found.shift) == pytest.approx((0.03, 0.2), rel=1e-5)
    assert found.depth_m.shape == (depth.size,)
    assert found.depth_m[:4] == pytest.approx(5.0, rel=1e-4)


def test_nothing_is_farther_than_a_kilometre_nor_outside_the_range() -> None:
    depth = np.array([[1.0, 2.0, 3.0, 0.0]], np.float32)
    truth = (1 / np.array([[0.1, 0.3, 0.5, 1.0]])).astype(np.float32)  # 0.2 depth - 0.1: negative where depth is 0
    assert _aligned(align(depth, truth, _all(depth), NO_LIMIT)).depth_m[3] == pytest.approx(1000)
    clamped = _aligned(align(depth, truth, _all(depth), (2.5, 80.0))).depth_m
    assert clamped == pytest.approx([10, 10 / 3, 2.5, 80], rel=1e-5)


@pytest.mark.parametrize("shape", [(20, 30), (33, 21), (16, 16)])
def test_a_sparse_fit_takes_the_pixels_that_torch_takes(shape: tuple[int, int]) -> None:
    depth = np.random.default_rng(1).uniform(1, 9, shape).astype(np.float32)
    truth = np.random.default_rng(2).uniform(1, 9, shape).astype(np.float32)
    found = _aligned(align(depth, truth, _all(depth), NO_LIMIT, max_side=16))
    both = torch.from_numpy(np.stack([depth, truth]))[None]
    factor = 16 / max(shape)
    if factor < 1:
        both = torch.nn.functional.interpolate(both, scale_factor=factor, mode="nearest")
    few, goal = both[0].double().numpy()
    expected = np.polyfit(few.ravel(), 1 / goal.ravel(), 1)
    assert (found.scale, found.shift) == pytest.approx(tuple(expected), rel=1e-9)
    assert found.depth_m.size == depth.size  # every pixel is scored


@pytest.mark.parametrize(
    ("depth", "valid", "reason"),
    [
        ([[1, 2, 3]], [[0, 0, 0]], "no pixel of its ground truth is valid"),
        ([[1, math.nan, 3]], [[1, 1, 1]], "its depth has NaN or infinite values"),
        ([[1, math.inf, 3]], [[1, 1, 1]], "its depth has NaN or infinite values"),
        ([[0, 0, 3]], [[1, 1, 1]], "valid pixels with depth above 0: 1, two at least are needed"),
        ([[0, 0, 0]], [[1, 1, 1]], "valid pixels with depth above 0: 0, two at least are needed"),
        ([[7, 7, 7]], [[1, 1, 1]], "its depth is the same everywhere"),
        ([[7, 7, 9]], [[1, 1, 0]], "its depth is the same everywhere"),
    ],
)
def test_what_cannot_be_aligned_says_why(depth: list[list[float]], valid: list[list[int]], reason: str) -> None:
    truth = np.array([[1.0, 2.0, 4.0]], np.float32)
    found = align(np.array(depth, np.float32), truth, np.array(valid, bool), NO_LIMIT)
    assert found == Unaligned(reason)


def test_what_is_not_valid_may_be_anything() -> None:
    depth, truth = np.array([[1.0, 2.0, np.nan]], np.float32), np.array([[2.0, 1.0, 0.0]], np.float32)
    found = _aligned(align(depth, truth, np.array([[True, True, False]]), NO_LIMIT))
    assert found.depth_m == pytest.approx([2, 1])
