"""The temperature of the gates: where it can be set, what it does, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.stub_bundle import assert_close, build_stub_bundle, luminance, own_size

from briges.runtime import DepthEstimator
from briges.runtime.errors import UsageError


@pytest.fixture(scope="module")
def dynamic_stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"), dynamic_temperature=True)


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
