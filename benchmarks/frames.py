"""The pictures that requests are made of: real ones, several, so that no cache has seen the one that comes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from briges.runtime.photographs import load_photographs
from briges.runtime.preprocess import check_image_size

# Enough for another one each time, few enough for the memory of a small device: 1080p frames are 6 MB each.
MAX_FRAMES = 16
_PHOTOGRAPH_SIZE = (480, 640)


@dataclass(frozen=True, eq=False)
class Frames:
    """``images``: uint8 RGB [h, w, 3]. ``description`` and ``size``, such as "480x640", for people."""

    images: tuple[NDArray[np.uint8], ...]
    description: str
    size: str


def load_frames(source: Path | None, size: tuple[int, int] | None) -> Frames:
    """The first 16 pictures of an image, a video or a folder of these; of None, photographs that come with briges-trt.

    size: height and width to which they are resized; None leaves those of files as they are.
    Raises ImageError if there is none, or one cannot be read.
    """
    if size is not None:
        check_image_size(*size, f"--frame-size {size[0]}x{size[1]}")
    if source is None:
        images, name = load_photographs(), "photographs that come with briges-trt"
        size = size or _PHOTOGRAPH_SIZE
    else:
        images, name = list(itertools.islice(_read(source), MAX_FRAMES)), f"frames of {source.name}"
    if size is not None:
        images = [_resized(image, *size) for image in images]
    sizes = sorted({f"{image.shape[0]}x{image.shape[1]}" for image in images})
    return Frames(tuple(images), f"{len(images)} {name}, in turn", " and ".join(sizes))


def _read(source: Path) -> Iterator[NDArray[np.uint8]]:
    from briges.runtime.images import read_image
    from briges.runtime.inputs import find_inputs
    from briges.runtime.video import open_video

    for item in find_inputs([str(source)], Path()):
        if item.is_video:
            with open_video(item.path) as video:
                yield from video.frames
        else:
            yield read_image(item.path)


def _resized(image: NDArray[np.uint8], height_px: int, width_px: int) -> NDArray[np.uint8]:
    import cv2

    shrinks = height_px < image.shape[0]
    resized = cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(resized, np.uint8)


def in_turn(frames: Frames, number: int, batch: int) -> Iterator[NDArray[np.uint8]]:
    """The images of request ``number``."""
    for slot in range(batch):
        yield frames.images[(number * batch + slot) % len(frames.images)]
