"""Point clouds read back from their files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from briges.runtime.errors import ImageError, OutputError, UsageError
from briges.runtime.pipelines.pointcloud import Intrinsics, parse_intrinsics, write_ply

CAMERA = Intrinsics(100.0, 50.0, 1.0, 0.5)
IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
DEPTH = np.array([[0.0, 1.0, 2.0], [4.0, 3.0, 2.0]], np.float32)


def _read(path: Path) -> tuple[list[str], NDArray[np.float32], NDArray[np.uint8]]:
    """The header's lines, points [N, 3] and colours [N, 3], by the header alone."""
    raw = path.read_bytes()
    end = raw.index(b"end_header\n") + len(b"end_header\n")
    header = raw[:end].decode("ascii").splitlines()
    count = next(int(line.split()[2]) for line in header if line.startswith("element vertex "))
    kinds = {"float": "<f4", "uchar": "u1"}
    fields = [line.split()[1:] for line in header if line.startswith("property ")]
    assert [name for _, name in fields] == ["x", "y", "z", "red", "green", "blue"]
    table = np.frombuffer(raw[end:], np.dtype([(name, kinds[kind]) for kind, name in fields]))
    assert len(table) == count
    stack = [np.stack([table[name] for name in names], axis=1) for names in (("x", "y", "z"), ("red", "green", "blue"))]
    return header, stack[0], stack[1]


def test_points_and_colours_come_back_row_by_row_with_the_nearest_at_1_and_the_farthest_at_20(tmp_path: Path) -> None:
    assert write_ply(tmp_path / "x.ply", DEPTH, IMAGE, CAMERA) == 6
    header, points, colours = _read(tmp_path / "x.ply")
    assert header[:2] == ["ply", "format binary_little_endian 1.0"]
    assert (colours == IMAGE.reshape(6, 3)).all()
    z = 1 / (1 / 20 + DEPTH.reshape(6) / 4 * (1 - 1 / 20))
    assert np.abs(points[:, 2] - z).max() < 1e-5
    assert points[3, 2] == 1.0
    assert points[0, 2] == pytest.approx(20.0)
    columns, rows = np.array([0, 1, 2] * 2), np.array([0] * 3 + [1] * 3)
    assert np.abs(points[:, 0] - (columns - 1) / 100 * z).max() < 1e-5
    assert np.abs(points[:, 1] - (rows - 0.5) / 50 * z).max() < 1e-5


def test_the_file_says_that_these_are_not_metres_and_what_else_must_be_known(tmp_path: Path) -> None:
    write_ply(tmp_path / "x.ply", DEPTH, IMAGE, CAMERA, notices=("RANDOM WEIGHTS\n(seed 7) \u2013 no depth",))
    comments = [line for line in _read(tmp_path / "x.ply")[0] if line.startswith("comment ")]
    assert comments == [
        "comment relative, affine-invariant inverse depth; not metres",
        "comment z = 1 / (0.2375 * depth + 0.050000000000000044); x right, y down, z forward",
        "comment RANDOM WEIGHTS (seed 7) ? no depth",
    ]


def test_with_a_scale_and_shift_points_without_a_distance_are_left_out(tmp_path: Path) -> None:
    assert write_ply(tmp_path / "x.ply", DEPTH, IMAGE, CAMERA, scale_shift=(0.5, -0.5)) == 4
    header, points, colours = _read(tmp_path / "x.ply")
    assert np.allclose(points[:, 2], [2.0, 1 / 1.5, 1.0, 2.0])
    assert (colours == IMAGE.reshape(6, 3)[2:]).all(), "depth 0 and 1 are not nearer than infinity"
    assert "in the unit of scale and shift" in header[2]


def test_a_flat_depth_map_is_a_plane_at_1(tmp_path: Path) -> None:
    write_ply(tmp_path / "x.ply", np.full((2, 3), 7.0, np.float32), IMAGE, CAMERA)
    assert (_read(tmp_path / "x.ply")[1][:, 2] == 1.0).all()


def test_an_image_of_another_size_and_a_place_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        write_ply(tmp_path / "x.ply", DEPTH, IMAGE[:1], CAMERA)
    assert caught.value.came == "depth [2, 3] and image [1, 3, 3]"
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_ply(tmp_path / "file" / "x.ply", DEPTH, IMAGE, CAMERA)
    assert os.listdir(tmp_path) == ["file"]


def test_intrinsics_are_four_numbers() -> None:
    assert parse_intrinsics("3000,2990.5, 2016,-1") == Intrinsics(3000.0, 2990.5, 2016.0, -1.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,2,3",
        "1,2,3,4,5",
        "a,b,c,d",
        "0,1,2,3",
        "1,-1,2,3",
        "nan,1,2,3",
        "1,1,inf,3",
        "1e-300,1,1,1",
        "9e+06,1,1,1",
    ],
)
def test_other_intrinsics_are_refused_with_where_to_find_them(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_intrinsics(text)
    assert (caught.value.subject, caught.value.came) == ("intrinsics", repr(text))
    assert caught.value.expected.startswith("fx,fy,cx,cy in pixels: the focal lengths fx and fy from 1 to 1e6")
    assert "calibration" in caught.value.cure
