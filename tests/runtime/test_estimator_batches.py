"""Many images through one estimator: batches, iteration and threads, on a stub engine of known arithmetic."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.photographs import ASPECTS, photograph
from support.stub_bundle import assert_close, build_stub_bundle, luminance, own_size

from briges.runtime import DepthEstimator
from briges.runtime.errors import BackendError, ImageError

BATCH = 3


@pytest.fixture(scope="module")
def batch_stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"), batch=BATCH)


@pytest.fixture
def batch_estimator(batch_stub: Path) -> Iterator[DepthEstimator]:
    with DepthEstimator(batch_stub, threads=1) as made:
        yield made


def test_results_are_never_overwritten(estimator, batch_estimator):
    for opened in (estimator, batch_estimator):
        results = [opened(own_size(seed)) for seed in range(4)]
        results += opened.batch([own_size(seed) for seed in range(4, 9)])
        for seed, result in enumerate(results):
            assert_close(result.depth, luminance(own_size(seed)))


def test_a_batch_equals_single_calls_whatever_the_sizes(estimator, batch_estimator):
    images = [photograph(aspect) for aspect in ASPECTS]
    assert len(images) == 2 * BATCH
    singles = [estimator(image).depth for image in images]
    for count in range(len(images) + 1):  # none, less than the engine's batch, and not a multiple of it
        depths = [result.depth for result in batch_estimator.batch(images[:count])]
        assert len(depths) == count
        assert all((ours == single).all() for ours, single in zip(depths, singles, strict=False))


def test_a_batch_is_also_taken_from_a_generator_or_one_array(batch_estimator):
    images = np.stack([own_size(seed) for seed in range(4)])
    for given in (images, (image for image in images)):
        results = batch_estimator.batch(given)
        assert len(results) == 4
        for image, result in zip(images, results, strict=True):
            assert_close(result.depth, luminance(image))


def test_the_images_of_a_batch_share_its_time(batch_estimator):
    results = batch_estimator.batch([own_size()] * BATCH)
    assert len({result.timings for result in results}) == 1


@pytest.mark.parametrize("batch", [1, BATCH])
def test_iterate_reads_no_further_ahead_than_the_engine_takes_at_a_time(estimator, batch_estimator, batch):
    read: list[int] = []

    def source() -> Iterator[NDArray[np.uint8]]:
        for seed in range(7):
            read.append(seed)
            yield own_size(seed)

    results = (estimator if batch == 1 else batch_estimator).iterate(source())
    assert read == []
    for seed in range(7):
        result = next(results)
        assert len(read) == min(7, (seed // batch + 1) * batch)
        assert_close(result.depth, luminance(own_size(seed)))
    assert next(results, None) is None


def test_iterate_fails_at_the_bad_image_and_not_before(estimator):
    results = estimator.iterate([own_size(), np.zeros((1, 1, 3), np.uint8)])
    assert_close(next(results).depth, luminance(own_size()))
    with pytest.raises(ImageError, match=r"^image: 1x1 pixels"):
        next(results)


def test_threads_take_turns_and_each_gets_its_own_depth(estimator, batch_estimator):
    wrong: list[int] = []

    def work(opened: DepthEstimator, first: int) -> None:
        for seed in range(first, first + 25):
            results = opened.batch([own_size(seed), own_size(seed + 1000)])
            expected = [luminance(own_size(seed)), luminance(own_size(seed + 1000))]
            if any(np.abs(r.depth - e).max() > 1e-4 for r, e in zip(results, expected, strict=True)):
                wrong.append(seed)

    for opened in (estimator, batch_estimator):
        threads = [threading.Thread(target=work, args=(opened, 100 * number)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []
    assert not any(thread.is_alive() for thread in threads)


def test_closing_waits_for_the_calls_of_other_threads(stub):
    estimator, ends = DepthEstimator(stub), []

    def work() -> None:
        try:
            while True:
                assert_close(estimator(own_size()).depth, luminance(own_size()))
        except BackendError as error:
            ends.append(error.came)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    estimator(own_size())
    estimator.close()
    for thread in threads:
        thread.join(60)
    assert ends == ["it is closed"] * 4


@pytest.mark.parametrize(("images", "came"), [(np.zeros((20, 20, 3), np.uint8), "one image"), (None, "NoneType")])
def test_one_image_where_several_are_expected_is_told(tiny_bundle, images, came):
    with DepthEstimator(tiny_bundle) as estimator, pytest.raises(ImageError, match=f"images: {came}"):
        estimator.batch(images)
