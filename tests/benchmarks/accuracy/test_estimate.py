"""The depth that is scored, on a bundle whose depth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from support.stub_bundle import assert_close, luminance, own_size

from briges.benchmarks.accuracy.estimate import at_size, estimate
from briges.runtime import DepthEstimator


def test_a_mirrored_image_gives_the_same_where_the_network_does_not_care(stub: Path) -> None:
    image = own_size()
    with DepthEstimator(stub, threads=1) as estimator:
        assert_close(estimate(estimator, image, flip=True, temperature=None), luminance(image))


def test_flip_averages_both_and_mirrors_back(stub: Path) -> None:
    class Slanted(DepthEstimator):
        """Adds the column to the depth, as a network does that prefers one side."""

        def __call__(self, image, **options):
            result = super().__call__(image, **options)
            result.depth[:] += np.arange(result.depth.shape[1], dtype=np.float32)
            return result

    image = own_size()
    with Slanted(stub, threads=1) as estimator:
        once = estimate(estimator, image, flip=False, temperature=None)
        both = estimate(estimator, image, flip=True, temperature=None)
    assert_close(once - np.arange(70, dtype=np.float32), luminance(image))
    assert_close(both - np.float32(34.5), luminance(image))  # the mean of column c and 69 - c


def test_depth_comes_to_the_size_of_ground_truth_as_torch_brings_it() -> None:
    depth = np.random.default_rng(0).random((9, 13)).astype(np.float32)
    for size in ((5, 7), (18, 26), (20, 21)):
        tensor = torch.from_numpy(depth)[None, None]
        expected = torch.nn.functional.interpolate(tensor, size=size, mode="bilinear", align_corners=False)
        assert np.abs(at_size(depth, size) - expected[0, 0].numpy()).max() <= 1e-5
    assert at_size(depth, (9, 13)) is depth
