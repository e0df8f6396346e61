"""Two depth maps, against figures worked out in the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.depth_sets import exact_depth_m, write_depth, write_image
from support.stub_bundle import luminance, own_size

from briges.benchmarks.accuracy.reference import Reference, compare_depth
from briges.benchmarks.accuracy.rows import ImageScore
from briges.benchmarks.accuracy.samples import open_dataset
from briges.benchmarks.accuracy.tasks import AffineInvariant
from briges.runtime import DepthEstimator


def _reference() -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(1, 9, (10, 12)).astype(np.float32)


def test_the_same_depth_has_no_difference() -> None:
    found = compare_depth(_reference(), _reference())
    assert found["correlation"] == pytest.approx(1)
    assert max(value for name, value in found.items() if name != "correlation") <= 1e-6


def test_another_scale_and_shift_are_a_difference_but_not_after_alignment() -> None:
    theirs = _reference()
    found = compare_depth(2 * theirs + 3, theirs)
    assert found["relative_l2"] == pytest.approx(np.linalg.norm(theirs + 3) / np.linalg.norm(theirs), rel=1e-5)
    assert found["max_relative_error"] == pytest.approx((theirs.max() + 3) / theirs.max(), rel=1e-5)
    assert found["aligned_abs_rel"] <= 1e-5
    assert found["aligned_deviation"] <= 1e-5


def test_noise_has_the_figures_of_polyfit() -> None:
    theirs = _reference().astype(float)
    ours = theirs + np.random.default_rng(1).normal(0, 0.2, theirs.shape)
    found = compare_depth(ours.astype(np.float32), theirs.astype(np.float32))
    aligned = np.polyval(np.polyfit(ours.ravel(), theirs.ravel(), 1), ours)
    # The nearest depth is 1 there, and nothing is nearer.
    depth, truth = np.maximum(theirs.max() / aligned, 1), theirs.max() / theirs
    assert found["aligned_abs_rel"] == pytest.approx(np.mean(np.abs(depth - truth) / truth), rel=1e-4)
    assert found["correlation"] == pytest.approx(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1], rel=1e-5)


def test_what_is_infinitely_far_in_the_reference_does_not_count() -> None:
    theirs = _reference()
    theirs[0] = 0
    assert compare_depth(theirs * 2, theirs)["aligned_abs_rel"] <= 1e-5


class _Filled(DepthEstimator):
    """Gives one value everywhere."""

    value = 0.0

    def __call__(self, image, **options):
        result = super().__call__(image, **options)
        result.depth[:] = self.value
        return result


def _score(tmp_path: Path, other: DepthEstimator, depth: NDArray[np.float32], *, truth: bool = False) -> ImageScore:
    write_image(tmp_path / "color/1.png", own_size())
    write_depth(tmp_path / "depth/1.npy", exact_depth_m(own_size()))
    (sample,) = open_dataset("folder", tmp_path)
    return Reference(other, AffineInvariant() if truth else None, flip=False).score(sample, own_size(), depth)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.nan, "the reference's depth has NaN or infinite values"),
        (2.0, "the reference's depth is the same everywhere"),
    ],
)
def test_a_reference_that_is_no_measure_is_skipped(stub: Path, tmp_path: Path, value: float, reason: str) -> None:
    with _Filled(stub, threads=1) as other:
        other.value = value
        assert _score(tmp_path, other, luminance(own_size())).skipped == reason


def test_depth_that_is_not_finite_is_skipped(stub: Path, tmp_path: Path) -> None:
    depth = luminance(own_size())
    depth[3, 3] = np.nan
    with DepthEstimator(stub, threads=1) as other:
        assert _score(tmp_path, other, depth).skipped == "its depth has NaN or infinite values"


def test_with_ground_truth_there_are_both(stub: Path, tmp_path: Path) -> None:
    with DepthEstimator(stub, threads=1) as other:
        score = _score(tmp_path, other, luminance(own_size()) * 2, truth=True)
    assert score.metrics["abs_rel"] <= 1e-5
    assert score.metrics["relative_l2"] == pytest.approx(1, rel=1e-5)
    assert score.scale == pytest.approx(0.001, rel=1e-4)


def test_what_ground_truth_skips_is_skipped(stub: Path, tmp_path: Path) -> None:
    depth = np.zeros((56, 70), np.float32)
    with DepthEstimator(stub, threads=1) as other:
        reason = _score(tmp_path, other, depth, truth=True).skipped
    assert reason == "valid pixels with depth above 0: 0, two at least are needed"
