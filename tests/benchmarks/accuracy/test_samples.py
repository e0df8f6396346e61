"""Samples of tiny sets in their public layouts, read whole: photograph, depth, and which pixels count."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from support.depth_sets import write_depth, write_image

from briges.benchmarks.accuracy.samples import open_dataset
from briges.runtime.errors import DatasetError, ImageError


def _image(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_kitti_is_cropped_to_the_benchmark_and_to_eigen(tmp_path: Path) -> None:
    drive, date = "2011_09_26_drive_0002_sync", "2011_09_26"
    image, depth = _image(375, 1242), np.zeros((375, 1242), np.uint16)
    depth[23 + 200, 13 + 600] = 10 * 256  # row 200, column 600 of the crop
    depth[23 + 10, 13 + 600] = 10 * 256  # above Eigen's
    depth[5, 5] = 10 * 256  # outside the benchmark's
    write_image(tmp_path / date / drive / "image_02/data/0000000069.png", image)
    write_depth(tmp_path / drive / "proj_depth/groundtruth/image_02/0000000069.png", depth)
    (sample,) = open_dataset("kitti", tmp_path)
    read = sample.read_image()
    assert np.array_equal(read, image[23:, 13 : 13 + 1216])
    truth = sample.read_truth(read.shape[:2])
    assert truth.depth_m.shape == (352, 1216)
    assert np.argwhere(truth.valid).tolist() == [[200, 600]]
    assert truth.depth_m[200, 600] == 10


def test_a_photograph_smaller_than_the_benchmark_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a_sync/image_02/data/1.png", _image(300, 1242))
    write_depth(tmp_path / "a_sync/proj_depth/groundtruth/image_02/1.png", np.ones((300, 1242), np.uint16))
    (sample,) = open_dataset("kitti", tmp_path)
    with pytest.raises(DatasetError, match="300x1242 pixels"):
        sample.read_image()


def test_eth3d_has_the_size_of_its_photograph(tmp_path: Path) -> None:
    write_image(tmp_path / "pipes/images/dslr_images/DSC_1.JPG", _image(60, 80))
    path = tmp_path / "pipes/ground_truth_depth/dslr_images/DSC_1.JPG"
    path.parent.mkdir(parents=True)
    depth = np.full((60, 80), np.inf, "<f4")
    depth[2, 3] = 7.5
    path.write_bytes(depth.tobytes())
    (sample,) = open_dataset("eth3d", tmp_path)
    truth = sample.read_truth(sample.read_image().shape[:2])
    assert np.argwhere(truth.valid).tolist() == [[2, 3]]
    assert truth.depth_m[2, 3] == 7.5


def test_scannet_may_have_depth_of_another_size(tmp_path: Path) -> None:
    write_image(tmp_path / "scene0000_00/color/0.jpg", _image(968, 1296))
    write_depth(tmp_path / "scene0000_00/depth/0.png", np.full((480, 640), 2500, np.uint16))
    (sample,) = open_dataset("scannet", tmp_path)
    truth = sample.read_truth(sample.read_image().shape[:2])
    assert truth.depth_m.shape == (480, 640)
    assert truth.depth_m[0, 0] == 2.5


def test_ground_truth_of_another_aspect_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "color/1.png", _image(60, 80))
    write_depth(tmp_path / "depth/1.png", np.full((60, 60), 2500, np.uint16))
    (sample,) = open_dataset("folder", tmp_path)
    with pytest.raises(DatasetError) as caught:
        sample.read_truth((60, 80))
    assert caught.value.subject == "image color/1.png"
    assert caught.value.came == "the photograph is 60x80 and its ground truth 60x60"


def test_diode_counts_what_its_mask_says(tmp_path: Path) -> None:
    write_image(tmp_path / "indoors/a.png", _image(4, 6))
    write_depth(tmp_path / "indoors/a_depth.npy", np.full((4, 6, 1), 3, np.float32))
    mask = np.zeros((4, 6))
    mask[1, 2] = 1
    write_depth(tmp_path / "indoors/a_depth_mask.npy", mask)
    (sample,) = open_dataset("diode", tmp_path)
    assert np.argwhere(sample.read_truth((4, 6)).valid).tolist() == [[1, 2]]
    write_depth(tmp_path / "indoors/a_depth_mask.npy", np.ones((4, 5)))
    with pytest.raises(DatasetError, match="depth is 4x6 and its mask 4x5"):
        sample.read_truth((4, 6))


def test_a_photograph_without_ground_truth_says_so_when_it_is_asked(tmp_path: Path) -> None:
    write_image(tmp_path / "color/1.png", _image(4, 6))
    (sample,) = open_dataset("folder", tmp_path)
    with pytest.raises(DatasetError, match="has no ground truth"):
        sample.read_truth((4, 6))


def test_a_photograph_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "color").mkdir()
    (tmp_path / "color/1.png").write_text("no picture")
    (sample,) = open_dataset("folder", tmp_path)
    with pytest.raises(ImageError, match="is not an image"):
        sample.read_image()


def test_another_number_of_images_than_the_protocol_s_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        write_image(tmp_path / f"rgb/{number}.png", _image(4, 6))
    with caplog.at_level(logging.WARNING):
        samples = open_dataset("nyu", tmp_path, limit=2)
    assert [sample.name for sample in samples] == ["rgb/0.png", "rgb/1.png"]
    assert "nyu has 2 images and the protocol scores 654" in caplog.text


def test_a_file_list_chooses_and_nothing_is_told_of_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_image(tmp_path / "color/1.png", _image(4, 6))
    with caplog.at_level(logging.WARNING):
        open_dataset("folder", tmp_path)
    assert not caplog.text
    (tmp_path / "list.txt").write_text("a.png b.png\n")
    (sample,) = open_dataset("nyu", tmp_path, file_list=tmp_path / "list.txt")
    assert sample.files.depth == tmp_path / "b.png"
