"""A bundle of several input sizes: each photograph goes to the one whose shape is nearest, and nobody notices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.building import build_for_onnxruntime
from support.photographs import ASPECTS, photograph
from support.stub_bundle import assert_close, build_stub_bundle, luminance

from briges.runtime import DepthEstimator
from briges.runtime.backend import RunOptions, open_engines
from briges.runtime.errors import BackendError, ImageError
from briges.runtime.manifest import read_manifest

# Of aspect 1.25, 2 and 0.5; no two would bring a picture to the same number of pixels.
SIZES = ((56, 70), (70, 140), (168, 84))


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One bundle of all SIZES, then one of each."""
    folder = tmp_path_factory.mktemp("sizes")
    every = build_stub_bundle(folder / "every", sizes=SIZES, batch=2)
    return [every, *(build_stub_bundle(folder / f"{h}x{w}", sizes=[(h, w)], batch=2) for h, w in SIZES)]


@pytest.fixture(scope="module")
def estimators(bundles: list[Path]) -> Iterator[list[DepthEstimator]]:
    made = [DepthEstimator(bundle, threads=1) for bundle in bundles]
    yield made
    for estimator in made:
        estimator.close()


def used_by(estimators: list[DepthEstimator], image: NDArray[np.uint8]) -> tuple[int, int]:
    """The size whose own bundle gives the very same depth."""
    depth = estimators[0](image).depth
    same = [size for size, alone in zip(SIZES, estimators[1:], strict=True) if (alone(image).depth == depth).all()]
    (size,) = same
    return size


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_picture_of_the_size_of_one_is_not_resized(estimators, height, width):
    assert_close(estimators[0](picture(height, width)).depth, luminance(picture(height, width)))


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (300, 300, (56, 70)),
        (300, 375, (56, 70)),
        (375, 300, (56, 70)),  # 0.8 is nearer to 1.25 than to 0.5: 1.56 times, not 1.6
        (390, 300, (168, 84)),
        (200, 310, (56, 70)),
        # 1.6 is 0.35 above 1.25 and 0.4 below 2, but nearer to 2 by ratio.
        (200, 320, (70, 140)),
        (100, 1200, (70, 140)),
        (1200, 100, (168, 84)),
    ],
)
def test_the_nearest_aspect_is_chosen_by_ratio(estimators, height, width, size):
    assert used_by(estimators, picture(height, width)) == size


def test_between_two_that_are_equally_near_the_first_is_taken(tmp_path):
    sizes = ((70, 140), (168, 84))
    square = picture(80, 80)
    for given in (sizes, sizes[::-1]):
        bundles = (build_stub_bundle(tmp_path / f"{given[0]}{count}", sizes=given[:count]) for count in (2, 1))
        with DepthEstimator(next(bundles)) as both, DepthEstimator(next(bundles)) as first:
            assert (both(square).depth == first(square).depth).all()


def test_a_batch_of_mixed_shapes_keeps_its_order(estimators):
    images = [picture(*SIZES[number % 3], seed=number) for number in (0, 1, 1, 2, 0, 0, 0, 2, 1)]
    for count in range(len(images) + 1):
        results = estimators[0].batch(images[:count])
        assert len(results) == count
        for image, result in zip(images, results, strict=False):
            assert_close(result.depth, luminance(image))
    for image, result in zip(images, estimators[0].iterate(iter(images)), strict=True):
        assert_close(result.depth, luminance(image))


def test_neighbours_of_one_shape_share_an_inference_and_others_do_not(estimators):
    wide, tall = picture(*SIZES[1]), picture(*SIZES[2])
    same = estimators[0].batch([wide, wide])
    assert same[0].timings == same[1].timings
    mixed = estimators[0].batch([wide, tall])
    assert mixed[0].timings != mixed[1].timings


def test_results_of_one_size_survive_inferences_of_another(estimators):
    images = [picture(*size) for size in SIZES]
    results = [estimators[0](image) for image in images]
    for image, result in zip(images, results, strict=True):
        assert_close(result.depth, luminance(image))


def test_a_bad_picture_in_the_middle_is_found_before_anything_runs(estimators):
    with pytest.raises(ImageError, match=r"^image: "):
        estimators[0].batch([picture(56, 70), picture(70, 140), np.zeros((1, 1, 3), np.uint8)])


def test_the_temperature_reaches_whichever_size_is_used(tmp_path):
    bundle = build_stub_bundle(tmp_path, sizes=SIZES, dynamic_temperature=True)
    with DepthEstimator(bundle) as estimator:
        for size in SIZES:
            image = picture(*size)
            assert_close(estimator(image, temperature=4.0).depth, luminance(image) / 4)
        for size in SIZES:  # and holds for one call
            image = picture(*size)
            assert_close(estimator(image).depth, luminance(image))


def test_closing_closes_every_size(bundles):
    with DepthEstimator(bundles[0]) as estimator:
        pass
    for size in SIZES:
        with pytest.raises(BackendError, match="it is closed"):
            estimator(picture(*size))


# The real model


@pytest.fixture(scope="module")
def real(sized_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Bundles of briges-tiny at 126x126 and 126x168: of one engine each, and split."""
    folder = tmp_path_factory.mktemp("real")
    for name, split in (("fused", False), ("split", True)):
        build_for_onnxruntime(sized_tiny, folder / name, split=split)
    return [folder / "fused", folder / "split"]


@pytest.mark.parametrize("aspect", ASPECTS)
def test_fused_and_split_give_the_same_depth_for_every_photograph(real, aspect):
    image = photograph(aspect)
    depths = []
    for bundle in real:
        with DepthEstimator(bundle) as estimator:
            depths.append(estimator(image, temperature=2.0).depth)
    assert depths[0].shape == image.shape[:2]
    assert np.ptp(depths[0]) > 1
    assert np.abs(depths[1] - depths[0]).max() <= 1e-6 * depths[0].max()


def test_the_semantic_engine_is_loaded_once_for_all_sizes(real):
    manifest = read_manifest(real[1])
    assert len({engine.file for engine in manifest.engines}) == 5
    engines = open_engines(real[1], manifest, RunOptions(provider="cpu", threads=1))
    runners = engines.runners(share_activations=False)
    first, second = ([id(session) for session in runner._backend._sessions] for runner in runners)
    assert [mine == other for mine, other in zip(first, second, strict=True)] == [False, True, False]
    for runner in runners:
        runner.close()
    engines.close()


def test_both_sizes_of_a_split_model_can_take_turns(real):
    square, wide = photograph("square"), photograph("4:3")
    with DepthEstimator(real[1]) as estimator:
        alone = [estimator(image).depth for image in (square, wide)]
        for _ in range(2):
            for image, depth in zip((square, wide), alone, strict=True):
                assert (estimator(image).depth == depth).all()
