"""A photograph reaches the network as in training, against a second implementation; and where it is placed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.canonical_preprocess import canonical_size, normalised, resized_depth_image, resized_semantic_image
from support.manifests import IMAGE_MEAN, IMAGE_STD, depth_spec, semantic_spec
from support.photographs import ASPECTS, photograph, real_photographs

from briges.runtime.errors import ImageError
from briges.runtime.preprocess import (
    Placement,
    check_image,
    check_image_size,
    fill_depth_input,
    fill_semantic_input,
    lower_bound_size,
    place,
)
from briges.runtime.sidecar import ImageInput

SEMANTIC_SIDE_PX = 1024

# Measured 0.51 and 5.4e-5. A cut instead of a rounding would be 1.0 off, a linear kernel more than 20.
DEPTH_UINT8 = 0.75
DEPTH_FLOAT32 = 1e-4  # of the full range of the input
# Pillow rounds to uint8 twice. Where that is a tie the two may differ by 1: at most 1 value in 200 did.
SEMANTIC_FLOAT32 = 1.001
# The stretch to the square on uint8 rounds in fixed point once more, by up to 0.75.
SEMANTIC_UINT8 = SEMANTIC_FLOAT32 + 0.75
RARE = 0.01


def poisoned(spec: ImageInput) -> NDArray[Any]:
    """One slot of the input, with content that shows wherever it is not overwritten."""
    return np.full(spec.shape(1)[1:], np.nan if spec.dtype == "float32" else 77, spec.dtype)


def depth_input(image: NDArray[np.uint8], spec: ImageInput) -> NDArray[Any]:
    out = poisoned(spec)
    fill_depth_input(image, spec, place(*image.shape[:2], spec, "pad"), out)
    return out


def semantic_input(image: NDArray[np.uint8], depth: ImageInput, spec: ImageInput) -> NDArray[Any]:
    out = poisoned(spec)
    fill_semantic_input(image, depth, spec, place(*image.shape[:2], depth, "pad"), out)
    return out


def check_depth_branch(image: NDArray[np.uint8]) -> None:
    """Both dtypes at the size the reference pipeline chooses."""
    height, width = canonical_size(*image.shape[:2], 518, 518)
    assert lower_bound_size(*image.shape[:2], 518, 518) == (height, width)
    reference = resized_depth_image(image, height, width)

    ours = depth_input(image, depth_spec(height, width))
    assert np.abs(ours - np.clip(reference, 0, 255)).max() <= DEPTH_UINT8

    expected = normalised(reference)
    error = np.abs(depth_input(image, depth_spec(height, width, "float32")) - expected).max()
    assert error <= DEPTH_FLOAT32 * np.ptp(expected)


def check_semantic_branch(image: NDArray[np.uint8]) -> None:
    """Both dtypes behind a depth input of the size the reference pipeline chooses."""
    height, width = canonical_size(*image.shape[:2], 518, 518)
    reference = resized_semantic_image(image, height, width, SEMANTIC_SIDE_PX)

    ours = semantic_input(image, depth_spec(height, width), semantic_spec(SEMANTIC_SIDE_PX))
    error = np.abs(ours - reference)
    assert error.max() <= SEMANTIC_UINT8
    assert (error > 0.76).mean() < RARE

    floats = semantic_input(image, depth_spec(height, width, "float32"), semantic_spec(SEMANTIC_SIDE_PX, "float32"))
    error = np.abs(floats - normalised(reference)) * np.array(IMAGE_STD)[:, None, None]
    assert error.max() <= SEMANTIC_FLOAT32
    assert (error > 0.01).mean() < RARE


@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_depth_branch_matches_the_second_implementation(aspect):
    check_depth_branch(photograph(aspect))


@pytest.mark.parametrize("aspect", ASPECTS)
def test_the_semantic_branch_matches_the_second_implementation(aspect):
    check_semantic_branch(photograph(aspect))


def test_both_branches_match_on_the_real_photographs(test_data):
    for name, image in real_photographs(test_data).items():
        print(name)
        check_depth_branch(image)
        check_semantic_branch(image)


def test_where_the_cubic_kernel_overshoots_the_uint8_input_is_clipped():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 255
    reference = resized_depth_image(image, 518, 518)
    assert reference.min() < -10
    assert reference.max() > 265
    ours = depth_input(image, depth_spec(518, 518))
    assert (ours[reference < 0] == 0).all()
    assert (ours[reference > 255] == 255).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (518, 686)),
        ((375, 1242), (518, 1722)),
        ((518, 518), (518, 518)),
        ((640, 480), (686, 518)),
        ((1080, 1920), (518, 924)),
        ((14, 448), (518, 16576)),
    ],
)
def test_the_reference_size_is_that_of_the_published_figures(size, expected):
    assert lower_bound_size(*size, 518, 518) == expected


sides = st.integers(14, 4000)
multiples_of_14 = st.integers(1, 150).map(lambda count: 14 * count)


@given(sides, sides, st.integers(1, 2100), st.integers(1, 2100))
def test_the_reference_size_is_a_multiple_of_14_and_at_least_the_target(height, width, target_height, target_width):
    size = lower_bound_size(height, width, target_height, target_width)
    assert size == canonical_size(height, width, target_height, target_width)
    assert size[0] % 14 == size[1] % 14 == 0
    assert size[0] >= target_height
    assert size[1] >= target_width
    scale = max(target_height / height, target_width / width)
    assert abs(size[0] - scale * height) < 14
    assert abs(size[1] - scale * width) < 14


@given(sides, sides, multiples_of_14, multiples_of_14)
def test_padding_keeps_the_aspect_within_a_pixel_centred_and_inside(height, width, full_height, full_width):
    assume(max(height, width) <= 32 * min(height, width))
    spec = depth_spec(full_height, full_width)
    placed = place(height, width, spec, "pad")
    if lower_bound_size(height, width, full_height, full_width) == (full_height, full_width):
        assert placed == Placement(0, 0, full_height, full_width)
        return
    assert 0 <= placed.top <= placed.top + placed.height <= full_height
    assert 0 <= placed.left <= placed.left + placed.width <= full_width
    assert min(placed.height, placed.width) >= 1
    assert placed.height == full_height or placed.width == full_width
    assert abs(2 * placed.top + placed.height - full_height) <= 1
    assert abs(2 * placed.left + placed.width - full_width) <= 1
    scale = min(full_height / height, full_width / width)
    assert abs(placed.height - max(1, scale * height)) <= 0.5
    assert abs(placed.width - max(1, scale * width)) <= 0.5


@given(sides, sides, multiples_of_14, multiples_of_14)
def test_a_stretched_photograph_fills_the_input(height, width, full_height, full_width):
    placed = place(height, width, depth_spec(full_height, full_width), "stretch")
    assert placed == Placement(0, 0, full_height, full_width)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("aspect", "size"), [("kitti", (126, 126)), ("portrait", (126, 252)), ("square", (182, 126))])
def test_what_the_photograph_does_not_cover_is_the_mean_colour(aspect, size, dtype):
    image, spec = photograph(aspect), depth_spec(*size, dtype)
    placed = place(*image.shape[:2], spec, "pad")
    out = depth_input(image, spec)
    picture = out if dtype == "uint8" else np.moveaxis(out, 0, -1)
    padding = np.ones(size, bool)
    placed.crop(padding)[...] = False
    assert 0 < padding.sum() < padding.size
    assert (picture[padding] == (np.rint(IMAGE_MEAN) if dtype == "uint8" else 0)).all()
    inner = resized_depth_image(image, placed.height, placed.width)
    expected = np.clip(inner, 0, 255) if dtype == "uint8" else np.moveaxis(normalised(inner), 0, -1)
    tolerance = DEPTH_UINT8 if dtype == "uint8" else DEPTH_FLOAT32 * np.ptp(expected)
    assert np.abs(placed.crop(picture) - expected).max() <= tolerance


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_semantic_input_shows_the_padding_too(dtype):
    # Both branches must cover the same field of view, or the gates would compare different places.
    image, depth, spec = photograph("kitti"), depth_spec(126, 126, dtype), semantic_spec(256, dtype)
    out = semantic_input(image, depth, spec)
    picture = out if dtype == "uint8" else np.moveaxis(out, 0, -1) * IMAGE_STD + IMAGE_MEAN
    placed = place(*image.shape[:2], depth, "pad")
    top, bottom = (row * 256 // 126 for row in (placed.top - 2, placed.top + placed.height + 2))
    for band in (picture[:top], picture[bottom:]):
        assert np.abs(band - np.rint(IMAGE_MEAN)).max() <= 1e-4
    assert picture[top:bottom].std() > 20


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("aspect", ASPECTS)
@pytest.mark.parametrize("size", [(126, 126), (126, 252), (252, 126), (14, 14)])
def test_every_element_of_the_inputs_is_overwritten(aspect, size, dtype):
    image, depth, spec = photograph(aspect), depth_spec(*size, dtype), semantic_spec(64, dtype)
    placed = place(*image.shape[:2], depth, "pad")
    for poison in (0, 255) if dtype == "uint8" else (np.nan, 1e30):
        outs = np.full(depth.shape(1)[1:], poison, dtype), np.full(spec.shape(1)[1:], poison, dtype)
        fill_depth_input(image, depth, placed, outs[0])
        fill_semantic_input(image, depth, spec, placed, outs[1])
        assert (outs[0] == depth_input(image, depth)).all()
        assert (outs[1] == semantic_input(image, depth, spec)).all()


def test_the_placement_crops_a_view_and_not_a_copy():
    array = np.zeros((20, 30, 3))
    Placement(2, 5, 10, 20).crop(array)[...] = 1
    assert (array[2:12, 5:25] == 1).all()
    assert array.sum() == 10 * 20 * 3


@pytest.mark.parametrize(
    ("image", "came"),
    [
        (np.zeros((20, 20, 3), np.float32), "float32 [20, 20, 3]"),
        (np.zeros((20, 20, 3), np.uint16), "uint16 [20, 20, 3]"),
        (np.zeros((20, 20), np.uint8), "uint8 [20, 20]"),
        (np.zeros((20, 20, 4), np.uint8), "uint8 [20, 20, 4]"),
        (np.zeros((1, 20, 20, 3), np.uint8), "uint8 [1, 20, 20, 3]"),
        ([[0, 0, 0]], "list"),
        ("photo.jpg", "str"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_rgb_array_is_refused(image, came):
    with pytest.raises(ImageError) as caught:
        check_image(image)
    assert caught.value.came == came
    assert caught.value.expected == "a uint8 NumPy array [height, width, 3], RGB"
    assert (
        caught.value.cure
        == "convert it first, such as with numpy.asarray(image); `briges infer` reads every common file type"
    )


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (0, 20), (13, 100), (100, 13), (20, 641), (641, 20), (16385, 8192)]
)
def test_an_image_of_an_unusable_size_is_refused(height, width):
    image = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (height, width, 3))  # costs no memory
    with pytest.raises(ImageError) as caught:
        check_image(image)
    assert str(caught.value) == (
        f"image: {width}x{height} pixels\n"
        "  expected: sides of 14 to 16384 pixels, the longer at most 32 times the shorter\n"
        "  cure: crop or resize it first"
    )


@pytest.mark.parametrize(("height", "width"), [(14, 14), (14, 448), (448, 14), (512, 16384), (16384, 512)])
def test_an_image_at_the_edge_of_what_is_usable_is_taken(height, width):
    image = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (height, width, 3))
    check_image(image)
    assert (depth_input(image, depth_spec(126, 126)) <= np.rint(IMAGE_MEAN)).all()


def test_a_size_is_given_height_first_and_told_width_first():
    with pytest.raises(ImageError, match="video x: 1000x20 pixels"):
        check_image_size(20, 1000, "video x")
