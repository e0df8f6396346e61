"""Public layouts, as empty files: which belong together, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest

from briges.benchmarks.accuracy.layouts import find_files, read_list
from briges.benchmarks.accuracy.sets import SetName
from briges.runtime.errors import DatasetError


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def _pairs(name: SetName, root: Path) -> list[tuple[str, str | None]]:
    found = find_files(name, root)
    assert all(entry.image == root / entry.name for entry in found)
    return [(entry.name, str(entry.depth.relative_to(root)) if entry.depth else None) for entry in found]


def test_nyu_as_marigold_has_it(tmp_path: Path) -> None:
    scene = "test/office_0008"
    _touch(tmp_path, *(f"{scene}/{kind}_{number}.png" for kind in ("rgb", "depth", "filled") for number in ("2", "10")))
    _touch(tmp_path, "test/kitchen_0004/rgb_2.png", "test/kitchen_0004/depth_2.png", "README.txt")
    assert _pairs("nyu", tmp_path) == [
        ("test/kitchen_0004/rgb_2.png", "test/kitchen_0004/depth_2.png"),
        (f"{scene}/rgb_2.png", f"{scene}/depth_2.png"),
        (f"{scene}/rgb_10.png", f"{scene}/depth_10.png"),
    ]


def test_nyu_exported_to_two_folders(tmp_path: Path) -> None:
    _touch(tmp_path, "rgb/0001.png", "depth/0001.png")
    assert _pairs("nyu", tmp_path) == [("rgb/0001.png", "depth/0001.png")]


def test_kitti_with_ground_truth_apart_and_raw_data_without_any_left_out(tmp_path: Path) -> None:
    drive = "2011_09_26_drive_0002_sync"
    _touch(tmp_path, *(f"2011_09_26/{drive}/image_02/data/{n:010}.png" for n in (5, 69)))
    _touch(tmp_path, f"2011_09_26/{drive}/image_03/data/{69:010}.png")
    _touch(tmp_path, f"val/{drive}/proj_depth/groundtruth/image_02/{69:010}.png")
    _touch(tmp_path, f"val/{drive}/proj_depth/velodyne_raw/image_02/{5:010}.png")
    image, depth = "image_02/data/0000000069.png", "proj_depth/groundtruth/image_02/0000000069.png"
    assert _pairs("kitti", tmp_path) == [(f"2011_09_26/{drive}/{image}", f"val/{drive}/{depth}")]


@pytest.mark.parametrize(
    ("image", "depth"),
    [
        ("office/images/dslr_images/DSC_0219.JPG", "office/ground_truth_depth/dslr_images/DSC_0219.JPG"),
        (
            "rgb/office/images/dslr_images/DSC_0219.JPG",
            "depth/office_dslr_depth/office/ground_truth_depth/dslr_images/DSC_0219.JPG",
        ),
    ],
    ids=["archives", "marigold"],
)
def test_eth3d(tmp_path: Path, image: str, depth: str) -> None:
    _touch(tmp_path, image, depth, image.replace("office", "pipes"))
    assert _pairs("eth3d", tmp_path) == [(image, depth), (image.replace("office", "pipes"), None)]


def test_diode_with_its_mask(tmp_path: Path) -> None:
    name = "indoors/scene_00021/scan_00189/00021_00189_indoors_200_010"
    _touch(tmp_path, f"{name}.png", f"{name}_depth.npy", f"{name}_depth_mask.npy", f"{name}_normal.npy")
    (found,) = find_files("diode", tmp_path)
    assert (found.name, found.depth) == (f"{name}.png", tmp_path / f"{name}_depth.npy")
    assert found.mask == tmp_path / f"{name}_depth_mask.npy"


def test_scannet_of_several_scenes_with_the_same_numbers(tmp_path: Path) -> None:
    for scene in ("scene0088_02", "scene0406_02"):
        _touch(tmp_path, f"{scene}/color/000300.jpg", f"{scene}/depth/000300.png")
    assert _pairs("scannet", tmp_path) == [
        ("scene0088_02/color/000300.jpg", "scene0088_02/depth/000300.png"),
        ("scene0406_02/color/000300.jpg", "scene0406_02/depth/000300.png"),
    ]


@pytest.mark.parametrize("photographs", ["color", "rgb", "image", "images"])
@pytest.mark.parametrize("depths", ["depth", "depths"])
def test_a_folder_of_two_folders(tmp_path: Path, photographs: str, depths: str) -> None:
    _touch(tmp_path, f"{photographs}/1.jpeg", f"{depths}/1.pgm")
    assert _pairs("folder", tmp_path) == [(f"{photographs}/1.jpeg", f"{depths}/1.pgm")]


def test_a_folder_of_pairs_with_odd_names(tmp_path: Path) -> None:
    stems = ("Küche am Abend", "a.b.c", "1_depth_of_field")
    _touch(tmp_path, *(f"{stem}.JPG" for stem in stems), *(f"{stem}_depth.npy" for stem in stems), ".hidden.png")
    assert sorted(_pairs("folder", tmp_path)) == sorted((f"{stem}.JPG", f"{stem}_depth.npy") for stem in stems)


def test_a_photograph_without_ground_truth_is_there_and_says_so(tmp_path: Path) -> None:
    _touch(tmp_path, "color/1.png", "color/2.png", "depth/2.png", "depth/3.png")
    assert _pairs("folder", tmp_path) == [("color/1.png", None), ("color/2.png", "depth/2.png")]


@pytest.mark.parametrize("name", ["nyu", "kitti", "eth3d", "scannet"])
def test_an_empty_dataset_is_an_error(tmp_path: Path, name: SetName) -> None:
    _touch(tmp_path, "notes.txt")
    with pytest.raises(DatasetError) as caught:
        find_files(name, tmp_path)
    assert "among its 1 files" in caught.value.came
    assert caught.value.expected == f"the layout of {name}: `briges eval --help` shows it"


def test_a_root_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    _touch(tmp_path, "file")
    for path, came in ((tmp_path / "absent", "does not exist"), (tmp_path / "file", "is not a folder")):
        with pytest.raises(DatasetError) as caught:
            find_files("folder", path)
        assert caught.value.came == came


def test_a_file_list_is_read_as_published(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("a/rgb.png b/depth.png 721.5377\nc/rgb.png None 721.5\n\nd.png d_depth.npy d_depth_mask.npy\n")
    first, second = read_list(tmp_path / "root", path)
    assert (first.name, first.image) == ("a/rgb.png", tmp_path / "root/a/rgb.png")
    assert (first.depth, first.mask) == (tmp_path / "root/b/depth.png", None)
    assert second.mask == tmp_path / "root/d_depth_mask.npy"


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("a.png\n", "line 1 has one path, 'a.png'"),
        ("a.png None\n", "names no image with ground truth"),
        ("", "names no image with ground truth"),
    ],
)
def test_a_file_list_of_something_else_is_an_error(tmp_path: Path, text: str, came: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DatasetError) as caught:
        read_list(tmp_path, tmp_path / "list.txt")
    assert caught.value.came == came


def test_a_file_list_that_is_absent_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_list(tmp_path, tmp_path / "absent.txt")
