"""The pictures requests are made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from support.media import landmarks, noise, write_video

from briges.benchmarks.frames import MAX_FRAMES, in_turn, load_frames
from briges.runtime.errors import ImageError


def test_without_a_source_photographs_of_the_package_are_resized_to_vga() -> None:
    frames = load_frames(None, None)
    assert {image.shape for image in frames.images} == {(480, 640, 3)}
    assert frames.description == "2 photographs that come with briges-trt, in turn"
    assert frames.size == "480x640"


def test_a_folder_gives_its_pictures_as_they_are_and_at_most_so_many(tmp_path: Path) -> None:
    for number in range(MAX_FRAMES + 3):
        Image.fromarray(noise(20, 30 if number else 40)).save(tmp_path / f"{number}.png")
    frames = load_frames(tmp_path, None)
    assert len(frames.images) == MAX_FRAMES
    assert frames.images[0].shape == (20, 40, 3)
    assert frames.size == "20x30 and 20x40"
    resized = load_frames(tmp_path, (40, 60))
    assert {image.shape for image in resized.images} == {(40, 60, 3)}


def test_a_video_gives_its_frames(tmp_path: Path) -> None:
    frames = load_frames(write_video(tmp_path / "street.avi", 5), None)
    assert len(frames.images) == 5
    assert frames.description == "5 frames of street.avi, in turn"


def test_one_picture_is_enough(tmp_path: Path) -> None:
    Image.fromarray(landmarks()).save(tmp_path / "one.png")
    assert len(load_frames(tmp_path / "one.png", None).images) == 1


def test_requests_take_the_next_pictures_and_begin_again() -> None:
    frames = load_frames(None, (30, 40))
    first, second = frames.images
    assert [image is first for image in in_turn(frames, 1, 3)] == [False, True, False]
    assert next(iter(in_turn(frames, 1, 1))) is second


def test_a_folder_without_a_picture_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="holds no image or video"):
        load_frames(tmp_path, None)
    with pytest.raises(ImageError, match="does not exist"):
        load_frames(tmp_path / "absent", None)
