"""A scale and shift per frame is taken out; flicker is what can be worked out by hand."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from briges.runtime.errors import ImageError
from briges.runtime.pipelines.stabilise import Stabiliser, flicker
from briges.runtime.video import open_video

SCALES_SHIFTS = [(1.0, 0.0), (1.3, 0.2), (0.7, 1.5), (2.0, 0.0), (0.5, 3.0), (1.1, 0.4)]


def _scene(seed: int = 0) -> NDArray[np.float32]:
    """A smooth depth map [96, 128], between 1 and 9."""
    rows, columns = np.mgrid[0:96, 0:128] / 20
    depth: NDArray[np.float32] = (5 + 2 * np.sin(rows + seed) + 2 * np.cos(columns)).astype(np.float32)
    return depth


def _image(value: int = 90) -> NDArray[np.uint8]:
    return np.full((96, 128, 3), value, np.uint8)


def test_a_scale_and_shift_per_frame_is_taken_out_exactly() -> None:
    stabiliser = Stabiliser()
    for scale, shift in SCALES_SHIFTS:
        aligned = stabiliser(scale * _scene() + np.float32(shift), _image())
        assert aligned.dtype == np.float32
        assert np.abs(aligned - _scene()).max() < 1e-4


def test_what_moves_keeps_its_depth_and_does_not_disturb_the_rest() -> None:
    stabiliser = Stabiliser()
    stabiliser(_scene(), _image())
    for step, (scale, shift) in enumerate(SCALES_SHIFTS):
        moved = _scene()
        moved[30:60, 10 + 12 * step : 40 + 12 * step] = 20.0  # nearer than all else, a fourteenth of the picture
        aligned = stabiliser(scale * moved + np.float32(shift), _image())
        assert np.abs(aligned - moved).max() < 0.5, "of 20"


def test_depth_never_becomes_negative_and_the_input_is_not_written_to() -> None:
    stabiliser = Stabiliser()
    near = _scene()
    near[:10] = 0.0
    for depth in (_scene(), near):
        before = depth.copy()
        assert stabiliser(depth - np.float32(0.0), _image()).min() >= 0
        assert (depth == before).all()
    assert stabiliser(3 * near, _image()).min() >= 0


def test_another_scene_and_another_size_start_afresh() -> None:
    stabiliser = Stabiliser()
    stabiliser(_scene(), _image(90))
    other = 3 * _scene(seed=2) + np.float32(7)
    assert np.abs(stabiliser(other, _image(91)) - other).max() > 1, "hardly changed: the same scene"
    assert (stabiliser(other, _image(200)) == other).all()
    small = other[:48]
    assert (stabiliser(small, _image(200)[:48]) == small).all()
    assert stabiliser.limits == (float(small.min()), float(small.max()))


def test_noise_makes_the_depth_neither_shrink_nor_grow_over_many_frames() -> None:
    stabiliser, generator = Stabiliser(), np.random.default_rng(0)
    for _ in range(600):
        aligned = stabiliser(_scene() + generator.normal(0, 0.1, (96, 128)).astype(np.float32), _image())
    assert 0.97 < aligned.std() / _scene().std() < 1.03


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_flat_depth_map_stays_flat(value: float) -> None:
    stabiliser = Stabiliser()
    flat = np.full((96, 128), value, np.float32)
    for _ in range(3):
        assert np.abs(stabiliser(flat, _image()) - flat).max() < 1e-6


def test_flicker_is_the_change_of_static_pixels_by_the_range() -> None:
    images = [np.zeros((2, 2, 3), np.uint8) for _ in range(3)]
    images[1][0, 0] = (0, 0, 8)  # moves, and back: not static in either pair
    images[2][1, 1] = (7, 7, 7)
    depths = [np.array(values, np.float32) for values in ([[0, 4], [2, 2]], [[9, 5], [2, 1]], [[0, 5], [5, 1]])]
    # Pairs: (1 + 0 + 1) / 3 and (0 + 3 + 0) / 3; ranges 4, 8 and 5.
    assert flicker(images, depths) == pytest.approx((2 / 3 + 1) / 2 / ((4 + 8 + 5) / 3))


def test_flicker_of_depth_that_does_not_change_is_nothing_and_of_a_moving_camera_an_error() -> None:
    assert flicker([_image()] * 3, [_scene()] * 3) == 0
    assert flicker([_image()] * 2, [np.ones((96, 128), np.float32)] * 2) == 0
    with pytest.raises(ImageError) as caught:
        flicker([_image(0), _image(100)], [_scene()] * 2)
    assert caught.value.came == "2 frames without a pixel that stands still"


def test_a_synthetic_flicker_on_a_real_video_goes_away(test_data: Path) -> None:
    with open_video(test_data / "video" / "street.avi") as video:
        images = [frame[::4, ::4] for frame in itertools.islice(video.frames, 20)]
    clean = [image.mean(axis=2, dtype=np.float32) / 40 for image in images]
    generator = np.random.default_rng(0)
    shaken = [depth * np.float32(generator.uniform(0.7, 1.4)) + np.float32(generator.uniform(0, 2)) for depth in clean]
    stabiliser = Stabiliser()
    steady = [stabiliser(depth, image) for depth, image in zip(shaken, images, strict=True)]
    assert flicker(images, steady) < 1.5 * flicker(images, clean) < 0.1 * flicker(images, shaken)
