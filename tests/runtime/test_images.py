"""Every kind of image file becomes upright 8-bit RGB, or one clear error."""

from __future__ import annotations

import io
import struct
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.media import landmarks, noise

from briges.runtime.errors import ImageError
from briges.runtime.images import IMAGE_SUFFIXES, read_image


def _saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied_as_viewers_apply_it(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = landmarks()
    # The EXIF standard: where the stored row 0 and column 0 are in the upright picture.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: upright.swapaxes(0, 1)[::-1],  # row 0 is the right side: viewers turn it clockwise by 90 degrees
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: upright.swapaxes(0, 1)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "lossless": True} if suffix == "webp" else {"quality": 100, "subsampling": 0}
    path = _saved(tmp_path / f"o.{suffix}", Image.fromarray(np.ascontiguousarray(stored)), exif=exif, **options)
    image = read_image(path)
    assert image.shape == upright.shape
    corners = np.ix_([4, -5], [4, -5])
    assert np.abs(image[corners].astype(int) - upright[corners]).max() <= 4


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage and more", b"Exif\0\0II*\0", b"Exif\0\0II*\0\xff\xff\xff\xff cut"])
def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path, exif: bytes) -> None:
    for name in ("x.jpg", "x.png"):
        assert read_image(_saved(tmp_path / name, Image.fromarray(landmarks()), exif=exif)).shape == (56, 70, 3)


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 56 * 70).astype(np.uint16).reshape(56, 70)
    expected = np.rint(values / 257).astype(np.uint8)
    for name, array in (("a.png", values), ("a.tif", values), ("big-endian.tif", values.astype(">u2"))):
        image = read_image(_saved(tmp_path / name, Image.fromarray(array)))
        assert image.shape == (56, 70, 3), name
        assert (image == expected[:, :, np.newaxis]).all(), name


def test_sixteen_bit_grey_in_a_pgm_or_as_32_bit_integers_is_scaled_alike(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 56 * 70).astype(np.uint16).reshape(56, 70)
    (tmp_path / "a.pgm").write_bytes(b"P5 70 56 65535\n" + values.astype(">u2").tobytes())
    _saved(tmp_path / "b.tif", Image.fromarray(values.astype(np.int32)))
    for name in ("a.pgm", "b.tif"):
        assert (read_image(tmp_path / name)[:, :, 0] == np.rint(values / 257)).all(), name


def test_wider_integers_and_floats_are_spread_over_their_own_range(tmp_path: Path) -> None:
    ramp = np.linspace(-1, 1, 56 * 70).reshape(56, 70)
    wide = _saved(tmp_path / "wide.tif", Image.fromarray((ramp * 1e6).astype(np.int32)))
    real = _saved(tmp_path / "real.tif", Image.fromarray(ramp.astype(np.float32)))
    for path in (wide, real):
        assert np.abs(read_image(path)[:, :, 1] - (ramp + 1) * 127.5).max() <= 0.51, path.name


def test_floats_that_are_not_finite_become_black(tmp_path: Path) -> None:
    values = np.full((20, 20), 3.0, np.float32)
    values[0], values[1, 0], values[1, 1] = 1.0, np.nan, np.inf
    image = read_image(_saved(tmp_path / "x.tif", Image.fromarray(values)))
    assert image[1, :3, 0].tolist() == [0, 0, 255]
    nothing = read_image(_saved(tmp_path / "nan.tif", Image.fromarray(np.full((20, 20), np.nan, np.float32))))
    assert (nothing == 0).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "LAB", "RGB"])
def test_every_colour_mode_comes_out_as_rgb_of_the_same_colours(tmp_path: Path, mode: str) -> None:
    grey = Image.new("L", (70, 56), 255)
    grey.paste(0, (0, 0, 35, 56))
    image = read_image(_saved(tmp_path / "x.tif", grey.convert("RGB").convert(mode)))
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    assert (image[:, :35] <= 2).all()
    assert (image[:, 35:] >= 253).all()


def test_a_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    path = _saved(tmp_path / "x.jpg", Image.new("RGB", (70, 56), (200, 30, 60)).convert("CMYK"), quality=95)
    assert np.abs(read_image(path)[0, 0].astype(int) - (200, 30, 60)).max() <= 4


def test_transparency_is_composited_over_white_in_every_mode(tmp_path: Path) -> None:
    for mode, fill in (("RGBA", (0, 0, 0, 0)), ("LA", (0, 0)), ("RGBA", (255, 0, 0, 51)), ("LA", (0, 51))):
        image = read_image(_saved(tmp_path / "x.png", Image.new(mode, (20, 20), fill)))
        alpha = fill[-1] / 255
        expected = [value * alpha + 255 * (1 - alpha) for value in (fill[:3] if mode == "RGBA" else fill[:1] * 3)]
        assert np.abs(image[0, 0] - np.array(expected)).max() <= 0.5, (mode, fill)


def test_a_transparent_palette_entry_and_a_transparent_rgb_colour_become_white(tmp_path: Path) -> None:
    paletted = Image.new("P", (20, 20), 0)
    paletted.putpalette([0, 0, 0, 200, 30, 60])
    paletted.paste(1, (10, 0, 20, 20))
    for name in ("p.png", "p.gif"):
        image = read_image(_saved(tmp_path / name, paletted, transparency=0))
        assert image[0, 0].tolist() == [255, 255, 255], name
        assert image[0, 19].tolist() == [200, 30, 60], name
    keyed = read_image(_saved(tmp_path / "k.png", Image.new("RGB", (20, 20), (1, 2, 3)), transparency=(1, 2, 3)))
    assert (keyed == 255).all()


def test_an_animation_gives_its_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    path = _saved(tmp_path / "x.gif", frames[0], save_all=True, append_images=frames[1:])
    assert read_image(path)[0, 0].tolist() == [255, 0, 0]


def _refusal(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert caught.value.subject == f"image {path}"
    return str(caught.value)


def test_paths_that_hold_no_image_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    assert "does not exist" in _refusal(tmp_path / "none.jpg")
    assert "does not exist" in _refusal(tmp_path / ("n" * 5000 + ".jpg"))
    assert "is a folder" in _refusal(tmp_path)
    assert "is empty (0 bytes)" in _refusal(tmp_path / "empty.png")
    message = _refusal(tmp_path / "text.jpg")
    assert "is not an image, or of a format that is not supported" in message
    assert "expected: a whole image file: AVIF, BMP," in message
    assert "cure: open it in a viewer" in message


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp", "gif", "ppm"])
def test_a_truncated_file_is_refused_and_never_filled_up(tmp_path: Path, suffix: str) -> None:
    path = _saved(tmp_path / f"whole.{suffix}", Image.fromarray(noise(200, 200)))
    whole = path.read_bytes()
    for share in (0.2, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        assert "is damaged or truncated" in _refusal(path) or "is not an image" in _refusal(path)


def test_postscript_is_never_handed_to_an_interpreter_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n")
    assert "is not an image" in _refusal(tmp_path / "x.jpg")


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1, 1), (20000, 20000), (20000, 1000), (1000, 20), (13, 14)])
def test_an_unusable_size_is_refused_from_the_header_before_anything_is_decoded(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    # There are no pixels behind this header: decoding would be another error, and of 20000 x 20000 take 1.2 GB.
    (tmp_path / "x.png").write_bytes(_png_header(*size))
    started = time.perf_counter()
    message = _refusal(tmp_path / "x.png")
    assert f"{size[0]}x{size[1]} pixels" in message
    assert "expected: sides of 14 to 16384 pixels, the longer at most 32 times the shorter" in message
    assert time.perf_counter() - started < 1


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(_png_header(2**31 - 1, 2**31 - 1))
    assert "is too large" in _refusal(tmp_path / "x.png")


def test_an_image_above_pillows_own_limit_but_within_ours_is_read_and_the_limit_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    path = _saved(tmp_path / "x.png", Image.fromarray(noise()))
    assert read_image(path).shape == (56, 70, 3)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_pillows_warnings_stay_inside(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.fromarray(landmarks()).save(data, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0truncated")
    (tmp_path / "x.jpg").write_bytes(data.getvalue())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Image.open(tmp_path / "x.jpg").getexif()
        by_pillow = len(caught)
        read_image(tmp_path / "x.jpg")
    assert by_pillow > 0, "this file must be one Pillow warns about, or the test shows nothing"
    assert len(caught) == by_pillow


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_suffix_that_folders_are_searched_for_can_be_read(tmp_path: Path, suffix: str) -> None:
    if suffix == ".avif" and suffix not in Image.registered_extensions():
        pytest.skip("this Pillow was built without AVIF")
    path = tmp_path / f"x{suffix}"
    Image.new("1" if suffix == ".pbm" else "RGB", (70, 56), "white").save(path)
    assert (read_image(path) >= 253).all()
