"""The files that are written: their values, their text fields, and that they are whole or absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.media import landmarks

from briges.runtime.errors import OutputError
from briges.runtime.outputs import picture, prepare_folder, write_color, write_npy, write_png16


def _depth() -> NDArray[np.float32]:
    return np.random.default_rng(3).gamma(2.0, 5.0, (56, 70)).astype(np.float32)


def test_the_16_bit_png_and_its_text_fields_give_the_depth_back(tmp_path: Path) -> None:
    depth = _depth()
    write_png16(tmp_path / "x_depth.png", depth)
    with Image.open(tmp_path / "x_depth.png") as image:
        pixels, text = np.asarray(image).astype(np.float64), image.info
    assert pixels.shape == (56, 70)
    assert (pixels.min(), pixels.max()) == (0, 65535)
    low, high = float(text["briges:low"]), float(text["briges:high"])
    assert (low, high) == (float(depth.min()), float(depth.max()))
    assert np.abs(low + pixels / 65535 * (high - low) - depth).max() <= 0.51 * (high - low) / 65535
    assert "relative inverse depth" in text["briges:meaning"]
    assert "low + pixel / 65535 * (high - low)" in text["briges:meaning"]
    assert "briges:notice" not in text


def test_a_constant_depth_comes_back_too(tmp_path: Path) -> None:
    write_png16(tmp_path / "x.png", np.full((20, 20), 3.5, np.float32))
    with Image.open(tmp_path / "x.png") as image:
        assert (np.asarray(image) == 0).all()
        assert (image.info["briges:low"], image.info["briges:high"]) == ("3.5", "3.5")


def test_notices_travel_in_both_pngs(tmp_path: Path) -> None:
    write_png16(tmp_path / "a.png", _depth(), ["RANDOM WEIGHTS", "näheres später"])
    write_color(tmp_path / "b.png", picture(_depth(), "magma"), ["RANDOM WEIGHTS", "näheres später"])
    for name in ("a.png", "b.png"):
        with Image.open(tmp_path / name) as image:
            assert image.info["briges:notice"] == "RANDOM WEIGHTS; näheres später"


@pytest.mark.parametrize("shape", [(56, 70), (1, 1)])
def test_the_npy_is_the_depth_itself(tmp_path: Path, shape: tuple[int, int]) -> None:
    depth = np.random.default_rng(1).random((2 * shape[0], shape[1]), np.float32)[::2]  # not contiguous
    write_npy(tmp_path / "x_depth.npy", depth)
    read = np.load(tmp_path / "x_depth.npy")
    assert read.dtype == np.float32
    assert (read == depth).all()
    assert [path.name for path in tmp_path.iterdir()] == ["x_depth.npy"]


def test_the_picture_is_brightest_where_it_is_nearest_and_rgb_not_bgr() -> None:
    depth = np.linspace(0, 1, 70, dtype=np.float32)[np.newaxis].repeat(56, axis=0)
    coloured = picture(depth, "inferno")
    assert coloured.shape == (56, 70, 3)
    assert coloured[0, 0].sum() < 30
    assert coloured[0, -1].sum() > 500
    red, _, blue = picture(depth, "jet")[0, -1].astype(int)
    assert red > 100 > blue, "the near end of jet is red"


def test_side_by_side_has_the_input_on_the_left_untouched() -> None:
    image = landmarks()
    both = picture(_depth(), "turbo", image)
    assert both.shape == (56, 140, 3)
    assert (both[:, :70] == image).all()
    assert (both[:, 70:] == picture(_depth(), "turbo")).all()


def test_a_folder_is_made_with_its_parents_and_the_check_leaves_nothing_in_it(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    prepare_folder(tmp_path / "a" / "b")


def test_a_folder_that_cannot_be_made_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/self"), Path("/proc/nothing-new")):
        with pytest.raises(OutputError) as caught:
            prepare_folder(out)
        assert caught.value.subject == f"output {out}"
        assert "cannot be written" in caught.value.came
        assert "--out" in caught.value.cure


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"old")
    with pytest.raises(ValueError, match="zero-size array"):
        write_png16(tmp_path / "x.png", np.empty((0, 0), np.float32))
    with pytest.raises(TypeError):
        write_color(tmp_path / "x.png", np.zeros((4, 4, 7), np.uint8))
    assert (tmp_path / "x.png").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
