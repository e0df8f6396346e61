"""The table of sets, and which pixels count."""

from __future__ import annotations

import math

import numpy as np
import pytest

from briges.benchmarks.accuracy.options import DATASETS, DEPTH_UNITS
from briges.benchmarks.accuracy.sets import SETS, kitti_benchmark


def test_the_command_offers_every_set_and_unit() -> None:
    assert tuple(SETS) == DATASETS
    assert DEPTH_UNITS == ("mm", "m", "disparity")
    assert all(kind.name == name for name, kind in SETS.items())


def test_the_table_is_that_of_the_protocol() -> None:
    table = {name: (kind.images, kind.depth_range_m, kind.alignment_max_side) for name, kind in SETS.items()}
    assert table["nyu"] == (654, (1e-3, 10), None)
    assert table["kitti"] == (652, (1e-5, 80), None)
    assert table["eth3d"] == (454, (1e-5, math.inf), 1024)
    assert table["diode"] == (771, (0.6, 350), None)
    assert table["scannet"] == (800, (1e-3, 10), None)


def test_a_record_has_zero_for_no_limit() -> None:
    assert SETS["eth3d"].recorded_range_m == (1e-5, 0)
    assert SETS["nyu"].recorded_range_m == (1e-3, 10)


def test_of_nyu_rows_45_to_470_and_columns_41_to_600_count() -> None:
    valid = SETS["nyu"].scored(np.full((480, 640), 2, np.float32), None)
    rows, columns = np.nonzero(valid)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (45, 470, 41, 600)
    assert valid.sum() == 426 * 560


def test_of_kitti_the_share_of_eigen_counts() -> None:
    valid = SETS["kitti"].scored(np.full((352, 1216), 2, np.float32), None)
    rows, columns = np.nonzero(valid)
    # 0.3324324 * 352 = 117.02, 0.91351351 * 352 = 321.56; 0.0359477 * 1216 = 43.7, 0.96405229 * 1216 = 1172.3
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (117, 320, 43, 1171)


@pytest.mark.parametrize("size", [(375, 1242), (370, 1224), (376, 1241), (352, 1216)])
def test_the_benchmark_takes_the_lowest_rows_and_the_middle(size: tuple[int, int]) -> None:
    place = kitti_benchmark(*size)
    assert place is not None
    rows, columns = place
    assert (rows.start, rows.stop) == (size[0] - 352, size[0])
    assert (columns.start, columns.stop - columns.start) == (int((size[1] - 1216) / 2), 1216)


@pytest.mark.parametrize("size", [(351, 1242), (375, 1215)])
def test_a_smaller_image_has_no_such_crop(size: tuple[int, int]) -> None:
    assert kitti_benchmark(*size) is None


def test_what_is_zero_infinite_or_out_of_range_does_not_count() -> None:
    depth = np.array([[0, -1, math.nan, math.inf, 5, 10, 12, 1e-4]], np.float32)
    assert SETS["scannet"].scored(depth, None).tolist() == [[False] * 4 + [True] + [False] * 3]
    assert SETS["folder"].scored(depth, None).tolist() == [[False] * 4 + [True] * 3 + [False]]


def test_of_diode_the_file_s_mask_alone_counts() -> None:
    depth = np.array([[0.1, 5, 400, 0]], np.float32)
    mask = np.array([[True, False, True, True]])
    assert SETS["diode"].scored(depth, mask).tolist() == [[True, False, True, False]]
