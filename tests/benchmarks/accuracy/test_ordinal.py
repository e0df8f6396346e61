"""Pairs of points, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from briges.benchmarks.accuracy.ordinal import open_pairs
from briges.runtime.errors import DatasetError

IMAGE = np.zeros((2, 3, 3), np.uint8)
DEPTH = np.array([[5, 4, 3], [3, 2, 1]], np.float32)


def _pair(nearer: list[int], farther: list[int]) -> dict[str, Any]:
    return {"point1": nearer, "point2": farther, "closer_point": "point1"}


def _score(tmp_path: Path, pairs: Any, depth: NDArray[np.float32] = DEPTH) -> dict[str, float]:
    (tmp_path / "annotations.json").write_text(json.dumps({"images/indoor/a.jpg": pairs}))
    (sample,), task = open_pairs(tmp_path)
    assert sample.files.image == tmp_path / "images/indoor/a.jpg"
    score = task.score(sample, IMAGE, depth)
    assert score.name == "images/indoor/a.jpg"
    return score.metrics


def test_all_pairs_of_an_image_are_scored_and_not_the_last_alone(tmp_path: Path) -> None:
    pairs = [_pair([0, 0], [0, 1]), _pair([1, 2], [0, 0]), _pair([0, 2], [1, 1])]
    assert _score(tmp_path, pairs) == {"pair_accuracy": pytest.approx(2 / 3), "pairs": 3}


def test_points_are_row_and_column(tmp_path: Path) -> None:
    # As (x, y), [1, 0] would be 4 and [0, 1] 3.
    assert _score(tmp_path, [_pair([0, 1], [1, 0])])["pair_accuracy"] == 1
    assert _score(tmp_path, [_pair([1, 0], [0, 1])])["pair_accuracy"] == 0


def test_a_tie_is_wrong(tmp_path: Path) -> None:
    assert _score(tmp_path, [_pair([0, 2], [1, 0]), _pair([1, 0], [0, 2])])["pair_accuracy"] == 0


def test_either_point_may_be_the_nearer_one(tmp_path: Path) -> None:
    pair = {"point1": [1, 2], "point2": [0, 0], "closer_point": "point2"}
    assert _score(tmp_path, [pair])["pair_accuracy"] == 1


def test_depth_that_is_not_finite_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text(json.dumps({"a.jpg": [_pair([0, 0], [0, 1])]}))
    (sample,), task = open_pairs(tmp_path)
    score = task.score(sample, IMAGE, np.full((2, 3), np.nan, np.float32))
    assert (score.metrics, score.skipped) == ({}, "its depth has NaN or infinite values")


@pytest.mark.parametrize("point", [[2, 0], [0, 3], [-1, 0]])
def test_a_point_outside_the_image_is_an_error(tmp_path: Path, point: list[int]) -> None:
    with pytest.raises(DatasetError) as caught:
        _score(tmp_path, [_pair([0, 0], point)])
    assert caught.value.came == f"the point {point} of an image of 2x3"


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        "a",
        [{"point1": [0, 0], "point2": [0, 1]}],
        [{"point1": [0, 0], "point2": [0, 1], "closer_point": "point3"}],
        [{"point1": [0], "point2": [0, 1], "closer_point": "point1"}],
        [{"point1": [0.5, 1], "point2": [0, 1], "closer_point": "point1"}],
        [7],
    ],
)
def test_pairs_of_another_layout_are_an_error(tmp_path: Path, pairs: Any) -> None:
    with pytest.raises(DatasetError) as caught:
        _score(tmp_path, pairs)
    assert caught.value.subject == "pairs of images/indoor/a.jpg"


@pytest.mark.parametrize(("text", "came"), [("{", "not JSON"), ("{}", "names no image"), ("[]", "names no image")])
def test_a_file_of_no_pairs_is_an_error(tmp_path: Path, text: str, came: str) -> None:
    (tmp_path / "annotations.json").write_text(text)
    with pytest.raises(DatasetError, match=came):
        open_pairs(tmp_path)


def test_a_folder_without_annotations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        open_pairs(tmp_path)


def test_the_first_images_alone_can_be_asked_for(tmp_path: Path) -> None:
    pairs = [_pair([0, 0], [0, 1])]
    (tmp_path / "annotations.json").write_text(json.dumps({"b.jpg": pairs, "a.jpg": pairs, "c.jpg": pairs}))
    samples, _ = open_pairs(tmp_path, limit=2)
    assert [sample.name for sample in samples] == ["b.jpg", "a.jpg"]
