"""The temperature of the gates: where it can be set, what it does, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.stub_bundle import HEIGHT_PX, WIDTH_PX, build_stub_bundle, luminance

from briges.runtime import DepthEstimator
from briges.runtime.errors import UsageError


@pytest.fixture(scope="module")
def dynamic_stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"), dynamic_temperature=True)


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


@pytest.fixture
def estimator(stub: Path) -> Iterator[DepthEstimator]:
    with DepthEstimator(stub, threads=1) as made:
        yield made


def own_size(seed: int = 0) -> NDArray[np.uint8]:
    """An image that is neither resized nor placed, so that its depth is known."""
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)


def assert_close(depth: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    assert depth.shape == expected.shape
    assert np.abs(depth - expected).max() <= 1e-4


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_temperature_is_refused_where_the_engine_has_none(estimator, temperature):
    with pytest.raises(UsageError) as caught:
        estimator(own_size(), temperature=temperature)
    assert caught.value.came == f"{temperature} for a bundle whose temperature is none"
    assert caught.value.cure == "export the model with `--temperature dynamic` to set it per call"


def test_a_temperature_holds_for_one_call_and_is_1_without_being_named(dynamic_stub):
    with DepthEstimator(dynamic_stub) as estimator:
        expected = luminance(own_size())
        assert_close(estimator(own_size(), temperature=4).depth, expected / 4)
        assert_close(estimator(own_size()).depth, expected)
        assert_close(estimator.batch([own_size()], temperature=np.float32(0.5))[0].depth, expected * 2)
        assert_close(next(estimator.iterate([own_size()], temperature=2.0)).depth, expected / 2)


# The last three are numbers above 0, but not as float32, which is what the engine computes with.
@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf"), 1e-50, 1e39, 1e-40])
def test_a_temperature_that_divides_nothing_is_refused(dynamic_stub, temperature):
    with DepthEstimator(dynamic_stub) as estimator:
        with pytest.raises(UsageError) as caught:
            estimator(own_size(), temperature=temperature)
        assert str(caught.value) == (
            f"temperature: {temperature}\n  expected: a number above 0 that float32 holds in full\n"
            "  cure: 1.0 is as trained"
        )
        assert_close(estimator(own_size()).depth, luminance(own_size()))
