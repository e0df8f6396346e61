"""When semantic features are due, computed by hand; and what the interval does to a real split bundle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from support.photographs import photograph
from support.stub_bundle import build_stub_bundle

from briges.runtime import DepthEstimator
from briges.runtime.errors import BackendError, UsageError
from briges.runtime.semantics import GRID, SemanticSchedule, green_grid, scene_change

DARK, LIGHT = (np.full((GRID, GRID), value, np.uint8) for value in (0, 255))


def never() -> NDArray[np.uint8]:
    raise AssertionError("the picture is not looked at where nothing depends on it")


def ages(schedule: SemanticSchedule, looks: list[NDArray[np.uint8]], views: str) -> list[int]:
    found = []
    for look, view in zip(looks, views, strict=True):
        due = schedule.is_due(view, lambda look=look: look)
        assert due is (schedule.age == 0)
        found.append(schedule.age)
    return found


def test_the_grid_is_the_green_channel_at_the_centres_of_its_cells():
    image = np.zeros((128, 192, 3), np.uint8)
    image[1::2, 1::3, 1] = 200  # row (2 i + 1) * 128 // 128, column (2 j + 1) * 192 // 128
    grid = green_grid(image)
    assert grid.shape == (GRID, GRID)
    assert (grid[:, ::2] == 200).all()
    assert (grid[:, 1::2] == image[1, 4, 1]).all()


@pytest.mark.parametrize("shape", [(14, 14, 3), (1080, 1920, 3), (37, 500, 3)])
def test_every_size_has_a_grid(shape):
    assert (green_grid(np.full(shape, 7, np.uint8)) == 7).all()


def test_black_and_white_are_as_far_apart_as_can_be():
    assert scene_change(DARK, LIGHT) == scene_change(LIGHT, DARK) == 1.0
    assert scene_change(DARK, DARK + 51) == pytest.approx(0.2)


def test_features_are_computed_for_every_nth_frame():
    assert ages(SemanticSchedule(3, 0.1), [DARK] * 7, "aaaaaaa") == [0, 1, 2, 0, 1, 2, 0]


def test_every_frame_has_its_own_with_an_interval_of_one():
    schedule = SemanticSchedule(1, 0.1)
    assert [schedule.is_due("a", never) for _ in range(3)] == [True] * 3


def test_a_changed_scene_makes_them_due_at_once_and_the_interval_begins_again():
    looks = [DARK, DARK, LIGHT, LIGHT, LIGHT, LIGHT]
    assert ages(SemanticSchedule(4, 0.1), looks, "aaaaaa") == [0, 1, 0, 1, 2, 3]


def test_a_slow_change_is_held_against_the_frame_they_are_of():
    looks = [np.full((GRID, GRID), value, np.uint8) for value in (0, 20, 40, 60)]  # 0.08 each
    assert ages(SemanticSchedule(9, 0.1), looks, "aaaa") == [0, 1, 0, 1]


def test_without_a_threshold_nobody_looks():
    schedule = SemanticSchedule(3, None)
    assert [schedule.is_due("a", never) for _ in range(4)] == [True, False, False, True]


def test_another_view_and_a_failure_make_them_due():
    schedule = SemanticSchedule(9, None)
    assert ages(schedule, [DARK] * 5, "aabba") == [0, 1, 0, 1, 0]
    schedule.forget()
    assert schedule.is_due("a", never)


# On a real split model.


def moved(step: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.roll(photograph("4:3"), step, axis=1))


def test_features_of_an_earlier_frame_change_the_depth_a_little_and_are_named_by_age(split_tiny):
    with (
        DepthEstimator(split_tiny) as each,
        DepthEstimator(split_tiny, semantic_interval=3, scene_change=None) as third,
    ):
        for step in range(4):
            own, held = each(moved(step)), third(moved(step))
            assert (own.semantics_age, held.semantics_age) == (0, step % 3)
            difference = np.abs(own.depth - held.depth).max() / own.depth.max()
            if step % 3 == 0:
                assert (own.depth == held.depth).all()
            else:
                assert 1e-6 < difference < 0.5, "the features were not those of the earlier frame"


def test_a_cut_another_size_and_a_new_estimator_have_features_of_their_own(split_tiny):
    with DepthEstimator(split_tiny, semantic_interval=9) as estimator, DepthEstimator(split_tiny) as each:
        pictures = [photograph("4:3"), photograph("4:3"), 255 - photograph("4:3"), photograph("square")]
        results = [estimator(image) for image in pictures]
        assert [result.semantics_age for result in results] == [0, 1, 0, 0]
        for image, result in zip(pictures, results, strict=True):
            assert (each(image).depth == result.depth).all()


def test_after_a_failed_inference_nothing_old_is_used(split_tiny, monkeypatch):
    with DepthEstimator(split_tiny, semantic_interval=9) as estimator:
        estimator(photograph("4:3"))
        runner = estimator._runners[1]
        with monkeypatch.context() as patch:
            patch.setattr(runner._backend, "run", lambda **_: (_ for _ in ()).throw(MemoryError("none left")))
            with pytest.raises(MemoryError):
                estimator(photograph("4:3"))
        assert estimator(photograph("4:3")).semantics_age == 0


def test_an_ungated_model_has_no_age_and_takes_no_interval(tmp_path):
    bundle = build_stub_bundle(tmp_path)
    with DepthEstimator(bundle) as estimator:
        assert estimator(photograph("square")).semantics_age is None
    with pytest.raises(UsageError, match=r"semantic_interval: 2 for stub, which has no semantic encoder"):
        DepthEstimator(bundle, semantic_interval=2)


def test_an_engine_of_one_piece_takes_no_interval_and_says_what_would(tiny_bundle):
    with pytest.raises(UsageError, match=r"one piece[\s\S]*cure: build the bundle with `briges build --split`"):
        DepthEstimator(tiny_bundle, semantic_interval=5)
    with DepthEstimator(tiny_bundle) as estimator:
        assert estimator(photograph("square")).semantics_age == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"semantic_interval": 0}, "semantic_interval: 0\n  expected: 1 or more"),
        ({"scene_change": 1.5}, "scene_change: 1.5\n  expected: 0 to 1, or None"),
        ({"scene_change": float("nan")}, "scene_change: nan"),
        ({"device": -1}, "device: -1\n  expected: 0 or more"),
        ({"device": "0"}, "device: '0'\n  expected: 0 or more"),
        ({"threads": 1.5}, "threads: 1.5\n  expected: 1 to "),
        ({"fit": None}, "fit: 'None'\n  expected: one of pad, stretch"),
        ({"bgr": "yes"}, "bgr: 'yes'\n  expected: True or False"),
        ({"semantic_interval": "4"}, "semantic_interval: '4'\n  expected: 1 or more"),
        ({"cuda_graph": 0}, "cuda_graph: 0\n"),
        ({"cuda_graph": "yes"}, "cuda_graph: 'yes'\n  expected: \"auto\", True or False"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_loaded(tmp_path, options, message):
    with pytest.raises(UsageError) as caught:
        DepthEstimator(tmp_path / "nothing", **options)
    assert message in str(caught.value)


def test_a_closed_estimator_is_told(split_tiny):
    with DepthEstimator(split_tiny, semantic_interval=2) as estimator:
        pass
    with pytest.raises(BackendError, match="it is closed"):
        estimator(photograph("square"))
