"""Names of depth videos, and requests for point clouds that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from briges.runtime.errors import UsageError
from briges.runtime.inputs import InputFile
from briges.runtime.pipelines.pointcloud import Intrinsics
from briges.runtime.pipelines.targets import point_cloud_of, video_target

PHOTO, VIDEO = InputFile(Path("x.jpg"), "x"), InputFile(Path("x.mp4"), "x")


def test_a_depth_video_goes_into_a_folder_or_gets_the_name_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    assert video_target(Path("in/street.avi"), tmp_path) == tmp_path / "street_depth.mp4"
    assert video_target(Path("in/street.avi"), tmp_path / "new" / "d.MP4") == tmp_path / "new" / "d.MP4"
    assert video_target(Path("x.avi"), tmp_path / "folder.mp4") == tmp_path / "folder.mp4" / "x_depth.mp4"
    own = tmp_path / "x_depth.mp4"
    assert video_target(own, tmp_path) == tmp_path / "x_depth_depth.mp4"


def test_another_format_and_the_input_itself_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        video_target(Path("x.avi"), tmp_path / "d.avi")
    assert caught.value.expected == "a file named .mp4, the format that is written"
    assert caught.value.cure == f"--out {tmp_path / 'd.mp4'}"
    with pytest.raises(UsageError, match="which is the video that is read"):
        video_target(tmp_path / "x.mp4", tmp_path / "folder" / ".." / "x.mp4")


def test_a_point_cloud_is_of_one_image_and_its_camera() -> None:
    assert point_cloud_of(None, None, [VIDEO]) is None
    assert point_cloud_of(Path("c.ply"), "1,2,3,4", [PHOTO]) == (Path("c.ply"), Intrinsics(1.0, 2.0, 3.0, 4.0))


@pytest.mark.parametrize(
    ("path", "intrinsics", "inputs", "came"),
    [
        (Path("c.ply"), None, [PHOTO], "--pointcloud alone"),
        (None, "1,2,3,4", [PHOTO], "--intrinsics alone"),
        (Path("c.xyz"), "1,2,3,4", [PHOTO], "c.xyz"),
        (Path("c.ply"), "1,2,3,4", [PHOTO, PHOTO], "2 inputs"),
        (Path("c.ply"), "1,2,3,4", [VIDEO], "a video"),
        (Path("c.ply"), "1,2,3,4", [], "a video"),
        (Path("c.ply"), "1,2", [PHOTO], "'1,2'"),
    ],
)
def test_other_requests_are_refused(
    path: Path | None, intrinsics: str | None, inputs: list[InputFile], came: str
) -> None:
    with pytest.raises(UsageError) as caught:
        point_cloud_of(path, intrinsics, inputs)
    assert caught.value.came == came
