"""Files of ground truth in every format, written by the test, to metres."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.depth_sets import write_depth

from briges.benchmarks.accuracy.depth_files import DepthUnit, read_depth, read_mask
from briges.benchmarks.accuracy.sets import SetName
from briges.runtime.errors import DatasetError

STEPS = np.array([[0, 1, 256], [1000, 2500, 65535]], np.uint16)
SIZE = (2, 3)


def _read(path: Path, name: SetName = "folder", unit: DepthUnit | None = None) -> NDArray[np.float32]:
    depth = read_depth(name, path, unit, SIZE)
    assert depth.dtype == np.float32
    return depth


@pytest.mark.parametrize(("name", "steps"), [("nyu", 1000), ("scannet", 1000), ("kitti", 256)])
def test_the_public_sets_have_their_own_steps(tmp_path: Path, name: SetName, steps: int) -> None:
    assert _read(write_depth(tmp_path / "1.png", STEPS), name) == pytest.approx(STEPS / steps)


@pytest.mark.parametrize("suffix", [".png", ".pgm", ".tif", ".npy"])
def test_integers_are_millimetres_unless_told_otherwise(tmp_path: Path, suffix: str) -> None:
    path = write_depth(tmp_path / f"1{suffix}", STEPS)
    assert _read(path) == pytest.approx(STEPS / 1000)
    assert _read(path, unit="m") == pytest.approx(STEPS)


@pytest.mark.parametrize("suffix", [".pfm", ".tif", ".npy"])
def test_floats_are_metres_unless_told_otherwise(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0.5, 2.25, 70], [math.inf, math.nan, -3]], np.float32)
    path = write_depth(tmp_path / f"1{suffix}", values)
    expected = [[0.5, 2.25, 70], [0, 0, 0]]
    assert _read(path) == pytest.approx(np.array(expected))
    assert _read(path, unit="mm") == pytest.approx(np.array(expected) / 1000)


def test_depth_of_a_disparity_is_its_inverse(tmp_path: Path) -> None:
    path = write_depth(tmp_path / "1.pfm", np.array([[0.5, 4, 0], [math.inf, 1, 2]], np.float32))
    assert _read(path, unit="disparity") == pytest.approx(np.array([[3, 0.375, 0], [0, 1.5, 0.75]]))
    eight_bit = write_depth(tmp_path / "1.png", np.array([[1, 2, 0], [4, 5, 250]], np.uint8))
    assert _read(eight_bit, unit="disparity") == pytest.approx(np.array([[4, 2, 0], [1, 0.8, 0.016]]))


def test_eth3d_is_raw_float32_whatever_its_name(tmp_path: Path) -> None:
    values = np.array([[1.5, math.inf, 3], [4, 5, 6]], "<f4")
    path = tmp_path / "DSC_0219.JPG"
    path.write_bytes(values.tobytes())
    assert _read(path, "eth3d") == pytest.approx(np.where(np.isinf(values), 0, values))


def test_diode_has_a_third_axis_and_a_mask(tmp_path: Path) -> None:
    depth = write_depth(tmp_path / "a_depth.npy", np.array([[[1.5], [2], [3]], [[4], [5], [6]]], np.float32))
    mask = write_depth(tmp_path / "a_depth_mask.npy", np.array([[1, 0, 1], [0, 0, 1]], np.float64))
    assert _read(depth, "diode") == pytest.approx(np.array([[1.5, 2, 3], [4, 5, 6]]))
    assert read_mask(mask).tolist() == [[True, False, True], [False, False, True]]


@pytest.mark.parametrize(
    ("name", "values", "came"),
    [
        ("1.png", np.zeros((2, 3, 3), np.uint8), "has 3 channels of uint8"),
        ("1.png", np.zeros((2, 3), np.uint8), "has 1 channels of uint8"),
        ("1.npy", np.zeros((2, 3, 2)), "holds float64 of 3 dimensions"),
        ("1.npy", np.array([["a"]]), "holds <U1 of 2 dimensions"),
    ],
)
def test_a_picture_made_to_be_looked_at_is_no_depth(tmp_path: Path, name: str, values: NDArray[Any], came: str) -> None:
    with pytest.raises(DatasetError) as caught:
        _read(write_depth(tmp_path / name, values))
    assert caught.value.came == came


@pytest.mark.parametrize("name", ["1.png", "1.npy"])
def test_a_damaged_file_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x93NUMPY\x01\x00 and half of it")
    with pytest.raises(DatasetError, match="cannot be read"):
        _read(tmp_path / name)


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    np.save(tmp_path / "1.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match="cannot be read: Object arrays cannot be loaded"):
        _read(tmp_path / "1.npy")


def test_several_arrays_in_one_file_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "1.npz", depth=STEPS)
    (tmp_path / "1.npz").rename(tmp_path / "1.npy")
    with pytest.raises(DatasetError, match="holds several arrays"):
        _read(tmp_path / "1.npy")


def test_raw_depth_of_another_size_than_its_photograph_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "DSC.JPG").write_bytes(bytes(20))
    with pytest.raises(DatasetError) as caught:
        _read(tmp_path / "DSC.JPG", "eth3d")
    assert caught.value.came == "has 20 bytes, and its photograph is 2x3"
    assert caught.value.expected == "24 bytes: raw float32 of the size of the photograph"


def test_an_absent_file_is_an_error(tmp_path: Path) -> None:
    for read in (_read, read_mask):
        with pytest.raises(DatasetError, match="does not exist"):
            read(tmp_path / "absent.npy")
