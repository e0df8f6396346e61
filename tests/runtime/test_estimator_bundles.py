"""Bundles of the real tiny model in every form the exporter offers: they must agree with each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.building import build_for_onnxruntime
from support.photographs import photograph

from briges.export.exporter import ExportRequest, export_model
from briges.runtime import DepthEstimator
from briges.runtime.errors import UsageError

TINY_SEED = 7  # as of the fixture tiny_model
BATCH = 2
ASPECTS = ("4:3", "kitti", "portrait")

# Of the largest depth. One graph on the same numbers: measured 0 and 7e-7.
SAME = 1e-6
SAME_MODEL = 1e-4
# Rounding the inputs to uint8 moves the depth of this model, whose weights are random: measured 3e-3 to 1.2e-2.
UINT8_ROUNDING = 0.03
# What another temperature or another placement does: measured 0.03 to 0.6.
CLEARLY_DIFFERENT = 0.02


def relative_error(ours: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    assert ours.shape == reference.shape
    assert np.ptp(reference) > 1, "a flat depth map agrees with anything"
    error = float(np.abs(ours - reference).max() / np.abs(reference).max())
    print(f"relative error {error:.1e}")
    return error


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Exports and builds the tiny model with the given options, without the check against PyTorch."""

    def make(**options: Any) -> Path:
        folder = tmp_path_factory.mktemp("exported")
        export_model(ExportRequest("briges-tiny", TINY_SEED, verify=False, **options), folder / "model", print)
        build_for_onnxruntime(folder / "model", folder / "engine")
        return folder / "engine"

    return make


@pytest.fixture(scope="module")
def dynamic_bundle(exported) -> Path:
    return exported(temperature="dynamic")


@pytest.fixture(scope="module")
def batch_bundle(exported) -> Path:
    return exported(batch=BATCH)


@pytest.fixture(scope="module")
def float32_bundle(exported) -> Path:
    return exported(input_dtype="float32")


@pytest.fixture
def estimator(tiny_bundle: Path) -> Iterator[DepthEstimator]:
    with DepthEstimator(tiny_bundle) as made:
        yield made


def test_different_photographs_have_different_depth_and_the_same_one_the_same(estimator):
    first = estimator(photograph("square")).depth
    assert first.min() >= 0
    second = estimator(photograph("square")[:, ::-1]).depth
    assert relative_error(second, first) > CLEARLY_DIFFERENT
    assert (estimator(photograph("square")).depth == first).all()


def test_an_unverified_model_with_random_weights_says_both(batch_bundle):
    with DepthEstimator(batch_bundle) as estimator:
        assert [notice.partition(" ")[0].rstrip(":") for notice in estimator.notices] == ["RANDOM", "UNVERIFIED"]
        assert estimator(photograph("4:3")).notices == estimator.notices


def test_a_stretched_photograph_has_another_depth_and_a_fitting_one_the_same(tiny_bundle, estimator):
    with DepthEstimator(tiny_bundle, fit="stretch") as stretching:
        kitti, square = photograph("kitti"), photograph("square")
        assert relative_error(stretching(kitti).depth, estimator(kitti).depth) > CLEARLY_DIFFERENT
        assert (stretching(square).depth == estimator(square).depth).all()


def test_the_padding_is_cut_off_the_depth(estimator):
    # The padding is flat, the photograph is not: its first and last rows must not be constant.
    depth = estimator(photograph("kitti")).depth
    assert depth.shape == photograph("kitti").shape[:2]
    assert min(np.ptp(depth[0]), np.ptp(depth[-1])) > 0.1


def test_a_batch_equals_single_calls_whatever_the_sizes(estimator, batch_bundle):
    images = [photograph(aspect) for aspect in ASPECTS]
    assert len(images) % BATCH == 1
    with DepthEstimator(batch_bundle) as batching:
        results = batching.batch(images)
        assert len(results) == len(images)
        for image, result in zip(images, results, strict=True):
            assert relative_error(result.depth, batching(image).depth) <= SAME
            assert relative_error(result.depth, estimator(image).depth) <= SAME


@pytest.mark.parametrize("aspect", ASPECTS)
def test_float32_inputs_and_uint8_inputs_agree(estimator, float32_bundle, aspect):
    image = photograph(aspect)
    with DepthEstimator(float32_bundle) as floats:
        assert floats.manifest.model.graphs[0].image.dtype == "float32"
        error = relative_error(floats(image).depth, estimator(image).depth)
    assert 0 < error <= UINT8_ROUNDING


@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_dynamic_temperature_1_is_the_folded_one_and_3_is_not(estimator, dynamic_bundle, aspect):
    image = photograph(aspect)
    folded = estimator(image).depth
    with DepthEstimator(dynamic_bundle) as dynamic:
        assert relative_error(dynamic(image, temperature=1.0).depth, folded) <= SAME_MODEL
        assert relative_error(dynamic(image, temperature=3.0).depth, folded) > CLEARLY_DIFFERENT
        assert relative_error(dynamic(image).depth, folded) <= SAME_MODEL


def test_a_temperature_is_refused_where_it_is_folded_with_the_cure(estimator):
    with pytest.raises(UsageError) as caught:
        estimator(photograph("4:3"), temperature=3.0)
    assert caught.value.came == "3.0 for a bundle whose temperature is folded"
    assert caught.value.cure == "export the model with `--temperature dynamic` to set it per call"


def test_four_threads_get_what_one_after_the_other_gets(estimator):
    images = {
        (thread, call): np.roll(photograph("4:3"), 48 * thread + 12 * call, axis=1)
        for thread in range(4)
        for call in range(8)
    }
    sequential = {key: estimator(image).depth for key, image in images.items()}
    assert relative_error(sequential[0, 0], sequential[0, 1]) > SAME
    parallel: dict[tuple[int, int], NDArray[np.float32]] = {}

    def work(thread: int) -> None:
        for call in range(8):
            parallel[thread, call] = estimator(images[thread, call]).depth

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert parallel.keys() == sequential.keys()
    assert all((parallel[key] == sequential[key]).all() for key in sequential)
