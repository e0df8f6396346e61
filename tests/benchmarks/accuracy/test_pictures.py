"""Which images are shown, and what a picture holds."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from briges.benchmarks.accuracy.pictures import MAX_WIDTH_PX, choose, draw
from briges.benchmarks.accuracy.rows import ImageScore, Picture


def _scores(metric: str, *values: float) -> list[ImageScore]:
    return [ImageScore(f"{value:g}", {metric: value}, None, None, None) for value in values]


def test_they_go_from_the_worst_over_the_middle_to_the_best() -> None:
    scores = _scores("abs_rel", 0.3, 0.1, 0.5, 0.2, 0.4)
    assert [score.name for score in choose(scores, "abs_rel", 3)] == ["0.5", "0.3", "0.1"]
    assert [score.name for score in choose(scores, "abs_rel", 1)] == ["0.3"]
    assert [score.name for score in choose(scores, "abs_rel", 9)] == ["0.5", "0.4", "0.3", "0.2", "0.1"]
    assert choose(scores, "abs_rel", 0) == []


def test_of_an_accuracy_the_smallest_is_the_worst() -> None:
    assert [score.name for score in choose(_scores("pair_accuracy", 1, 0, 0.5), "pair_accuracy", 2)] == ["0", "1"]


def test_what_was_skipped_is_not_shown() -> None:
    assert choose([ImageScore("a", {}, None, None, "dark")], "abs_rel", 3) == []


def _pixels(picture: Picture) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(base64.b64decode(picture.jpeg_base64)))
    assert image.format == "JPEG"
    return np.asarray(image)


def _draw(height: int, width: int, beside: NDArray[np.float32] | None) -> Picture:
    image = np.full((height, width, 3), 200, np.uint8)
    depth = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    shown = None if beside is None else ("ground truth", beside)
    return draw(ImageScore("a", {"abs_rel": 0.25}, None, None, None), "abs_rel", image, shown, depth)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (1080, 1920), (60, 80), (900, 300)])
def test_a_picture_is_photograph_truth_and_depth_beside_each_other(height: int, width: int) -> None:
    beside = np.zeros((height // 2, width // 2), np.float32)
    beside[:, : width // 4] = 1
    beside[:, : width // 8] = 2
    picture = _draw(height, width, beside)
    pixels = _pixels(picture)
    part = pixels.shape[1] // 3
    assert pixels.shape[1] == 3 * part <= MAX_WIDTH_PX
    assert pixels.shape[0] / part == pytest.approx(height / width, rel=0.02)
    photograph, truth, depth = (pixels[:, start * part + 4 : (start + 1) * part - 4] for start in range(3))
    assert np.abs(photograph.astype(int) - 200).max() <= 6
    assert truth[:, -part // 4 :].max() <= 40  # black where unknown
    assert truth[:, : part // 8].mean() > 100  # near is bright
    assert depth[:, -5:].mean() > depth[:, :5].mean() + 60
    assert picture.caption == "photograph, ground truth, depth; abs_rel 0.25"


def test_without_something_beside_it_there_are_two() -> None:
    picture = _draw(48, 64, None)
    assert _pixels(picture).shape == (48, 128, 3)
    assert picture.caption == "photograph, depth; abs_rel 0.25"


def test_ground_truth_without_a_valid_pixel_is_black() -> None:
    pixels = _pixels(_draw(48, 64, np.zeros((48, 64), np.float32)))
    assert pixels[:, 70:120].max() <= 20
