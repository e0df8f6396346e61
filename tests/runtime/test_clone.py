"""Several estimators of one loaded engine: for cameras on threads of their own."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from support.photographs import photograph

from briges.runtime import DepthEstimator
from briges.runtime.errors import BackendError

PICTURES = ("4:3", "square", "kitti")


def test_a_clone_gives_the_same_depth_from_the_same_sessions(tiny_bundle):
    with DepthEstimator(tiny_bundle) as first, first.clone() as second:
        assert first._runners[0]._backend._sessions[0] is second._runners[0]._backend._sessions[0]
        assert first._runners[0]._backend.output is not second._runners[0]._backend.output
        assert (first(photograph("4:3")).depth == second(photograph("4:3")).depth).all()
        assert (second.fit, second.notices, second.backend_name) == (first.fit, first.notices, first.backend_name)


@pytest.mark.parametrize("share", [False, True])
def test_clones_on_threads_never_mix_their_pictures(tiny_bundle, share):
    with DepthEstimator(tiny_bundle, threads=1) as alone:
        expected = {name: alone(photograph(name)).depth for name in PICTURES}
    wrong: list[str] = []

    def watch(estimator: DepthEstimator, name: str) -> None:
        with estimator:
            depths = [estimator(photograph(name)).depth for _ in range(5)]
        wrong.extend(name for depth in depths if not (depth == expected[name]).all())

    with DepthEstimator(tiny_bundle, threads=1) as original:
        clones = [original.clone(share_activations=share) for _ in PICTURES]
        threads = [threading.Thread(target=watch, args=pair) for pair in zip(clones, PICTURES, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert (original(photograph("square")).depth == expected["square"]).all()


@pytest.mark.parametrize("original_first", [True, False])
def test_they_are_closed_in_any_order_and_the_last_one_releases_the_engine(tiny_bundle, original_first):
    original = DepthEstimator(tiny_bundle)
    clone = original.clone()
    session = weakref.ref(original._runners[0]._backend._sessions[0])
    first, last = (original, clone) if original_first else (clone, original)
    first.close()
    first.close()
    assert np.isfinite(last(photograph("square")).depth).all()
    with pytest.raises(BackendError, match="it is closed"):
        first(photograph("square"))
    last.close()
    gc.collect()
    assert session() is None


def test_a_closed_estimator_has_no_clones(tiny_bundle):
    estimator = DepthEstimator(tiny_bundle)
    estimator.close()
    with pytest.raises(BackendError, match="it is closed"):
        estimator.clone()


def test_each_camera_keeps_semantic_features_of_its_own(split_tiny):
    with DepthEstimator(split_tiny, semantic_interval=4) as left, left.clone() as right:
        for step in range(3):
            assert left(photograph("4:3")).semantics_age == step
        own = right(photograph("16:9"))
        assert own.semantics_age == 0
        assert left(photograph("4:3")).semantics_age == 3
        with DepthEstimator(split_tiny) as each:
            assert (each(photograph("16:9")).depth == own.depth).all()
