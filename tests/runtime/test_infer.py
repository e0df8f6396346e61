"""`briges infer` end to end on a real engine whose depth is known: the values, the names and the order."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.media import briges, landmarks, noise, write_video
from support.stub_bundle import build_stub_bundle, luminance

from briges.runtime.infer import Summary
from briges.runtime.pipelines.stages import StageTimes
from briges.runtime.video import open_video


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


def _save(path: Path, image: NDArray[np.uint8], **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **options)
    return path


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_photograph_becomes_three_files_whose_values_are_the_depth(bundle: Path, tmp_path: Path) -> None:
    image = noise()
    out = tmp_path / "new" / "depth"
    assert briges("infer", bundle, _save(tmp_path / "photo.png", image), "--out", out) == 0
    assert _names(out) == ["photo_depth.npy", "photo_depth.png", "photo_depth_color.png"]
    depth = np.load(out / "photo_depth.npy")
    assert depth.dtype == np.float32
    assert np.abs(depth - luminance(image)).max() < 1e-3
    with Image.open(out / "photo_depth.png") as png:
        low, high = float(png.info["briges:low"]), float(png.info["briges:high"])
        restored = low + np.asarray(png).astype(np.float64) / 65535 * (high - low)
    assert np.abs(restored - depth).max() <= (high - low) / 65535
    with Image.open(out / "photo_depth_color.png") as png:
        assert (png.mode, png.size) == ("RGB", (70, 56))


def test_a_turned_photograph_gets_upright_depth(bundle: Path, tmp_path: Path) -> None:
    upright = landmarks()
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.ascontiguousarray(upright.swapaxes(0, 1)[::-1])
    path = _save(tmp_path / "photo.png", stored, exif=exif)
    assert briges("infer", bundle, path, "--out", tmp_path, "--save", "npy") == 0
    assert np.abs(np.load(tmp_path / "photo_depth.npy") - luminance(upright)).max() < 1e-3


@pytest.mark.parametrize("fit", ["pad", "stretch"])
@pytest.mark.parametrize("size", [(300, 120), (90, 200), (15, 300)])
def test_depth_has_the_photographs_size_and_content_whatever_its_aspect(
    bundle: Path, tmp_path: Path, size: tuple[int, int], fit: str
) -> None:
    image = landmarks(*size)
    path = _save(tmp_path / "photo.png", image)
    assert briges("infer", bundle, path, "--out", tmp_path, "--save", "npy", "--fit", fit) == 0
    depth = np.load(tmp_path / "photo_depth.npy")
    assert depth.shape == size
    corners = np.ix_([0, -1], [0, -1])
    assert np.abs(depth - luminance(image))[corners].max() < 1.5


def test_save_and_side_by_side_choose_what_is_written(bundle: Path, tmp_path: Path) -> None:
    path = _save(tmp_path / "photo.png", noise())
    arguments = ("infer", bundle, path, "--out", tmp_path / "out", "--colormap", "jet")
    assert briges(*arguments, "--save", "color", "--side-by-side") == 0
    assert _names(tmp_path / "out") == ["photo_depth_color.png"]
    with Image.open(tmp_path / "out" / "photo_depth_color.png") as png:
        both = np.asarray(png)
    assert both.shape == (56, 140, 3)
    assert (both[:, :70] == noise()).all()
    assert briges(*arguments, "--save", "npy", "--save", "png16") == 0
    assert _names(tmp_path / "out") == ["photo_depth.npy", "photo_depth.png", "photo_depth_color.png"]


def test_inputs_of_one_stem_do_not_overwrite_each_other(bundle: Path, tmp_path: Path) -> None:
    images = {name: noise(seed=seed) for seed, name in enumerate(("a/x.png", "b/x.bmp", "b/X.png"))}
    paths = [_save(tmp_path / name, image) for name, image in images.items()]
    assert briges("infer", bundle, *paths, "--out", tmp_path / "out", "--save", "npy") == 0
    for stem, image in zip(("x", "x-2", "X-3"), images.values(), strict=True):
        assert np.abs(np.load(tmp_path / "out" / f"{stem}_depth.npy") - luminance(image)).max() < 1e-3


@pytest.mark.parametrize("batch", [2, 4])
def test_an_engine_with_a_batch_gives_each_image_its_own_depth(tmp_path: Path, batch: int) -> None:
    bundle = build_stub_bundle(tmp_path, batch=batch)
    for seed in range(5):
        _save(tmp_path / "in" / f"{seed}.png", noise(seed=seed))
    (tmp_path / "in" / "1b.png").write_text("bad")
    assert briges("infer", bundle, tmp_path / "in", "--out", tmp_path / "out", "--save", "npy") == 1
    for seed in range(5):
        assert np.abs(np.load(tmp_path / "out" / f"{seed}_depth.npy") - luminance(noise(seed=seed))).max() < 1e-3


def test_stretching_uses_the_whole_engine_where_padding_loses_detail(bundle: Path, tmp_path: Path) -> None:
    stripes = np.zeros((56, 140, 3), np.uint8)
    stripes[::2] = 255  # twice as wide as the engine: padded, only 28 rows are left for 56
    path = _save(tmp_path / "x.png", stripes)
    errors = {}
    for fit in ("pad", "stretch"):
        assert briges("infer", bundle, path, "--out", tmp_path, "--save", "npy", "--fit", fit) == 0
        errors[fit] = np.abs(np.load(tmp_path / "x_depth.npy") - luminance(stripes)).max()
    assert errors["stretch"] < 1e-3
    assert errors["pad"] > 50


def test_neighbouring_videos_each_get_their_own_depth_video(tmp_path: Path) -> None:
    bundle = build_stub_bundle(tmp_path, batch=4)
    paths = [write_video(tmp_path / f"{frames}.avi", frames) for frames in (3, 5)]
    assert briges("infer", bundle, *paths, "--out", tmp_path / "out") == 0
    for frames in (3, 5):
        with open_video(tmp_path / "out" / f"{frames}_depth.mp4") as video:
            assert video.frame_count == frames


@pytest.mark.parametrize("batch", [1, 4])
def test_a_video_becomes_a_depth_video_of_its_rate_and_length(
    tmp_path: Path, batch: int, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = build_stub_bundle(tmp_path, batch=batch)
    path = write_video(tmp_path / "street.avi", 9, fps=12.0)
    arguments = ("infer", bundle, path, "--out", tmp_path / "out", "--save", "npy", "--colormap", "bone")
    assert briges(*arguments, "--side-by-side") == 0
    assert re.match(r"9 frames of 1 video in [0-9.]+ s - median per frame: read ", capsys.readouterr().out)
    assert _names(tmp_path / "out") == ["street_depth.mp4"]
    with open_video(tmp_path / "out" / "street_depth.mp4") as video:
        assert (video.width_px, video.height_px, video.fps, video.frame_count) == (140, 56, 12.0, 9)
        for index, frame in enumerate(video.frames):
            left_of_input, right_of_depth = frame[8:-8, 8:28].mean(), frame[8:-8, 112:132].mean()
            assert abs(left_of_input - 20 * index) < 12
            assert right_of_depth > 235, "the brighter half is the nearer one in every frame"
            assert frame[8:-8, 78:98].mean() < 20


def test_the_one_video_goes_to_the_file_or_the_folder_that_is_named(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_video(tmp_path / "street.avi", 9, fps=12.0)
    for out, made in ((tmp_path / "new" / "d.mp4",) * 2, (tmp_path / "out", tmp_path / "out" / "street_depth.mp4")):
        assert briges("infer", bundle, "--video", path, "--out", out, "--side-by-side") == 0
        printed = capsys.readouterr().out
        assert re.match(r"9 frames of 1 video in [0-9.]+ s - median per frame: read ", printed)
        assert printed.endswith(f" - outputs in {made}\n")
        assert _names(made.parent) == [made.name]
        with open_video(made) as video:
            assert (video.width_px, video.height_px, video.fps, video.frame_count) == (140, 56, 12.0, 9)


def test_a_video_that_cannot_be_used_is_one_error_and_leaves_no_file(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.mp4").write_text("not a video")
    assert briges("infer", bundle, "--video", tmp_path / "x.mp4", "--out", tmp_path / "out" / "d.mp4") == 1
    assert capsys.readouterr().err.startswith(f"Error: video {tmp_path / 'x.mp4'}: cannot be opened\n")
    assert _names(tmp_path / "out") == []


def test_a_truncated_video_gives_the_depth_of_what_it_has(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_video(tmp_path / "x.avi", 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert briges("infer", bundle, "--video", path, "--out", tmp_path / "d.mp4") == 0
    printed = capsys.readouterr()
    assert re.search(r"WARNING: video .*: ended after \d+ of 40 frames; the file may be truncated", printed.err)
    frames = int(printed.out.split()[0])
    with open_video(tmp_path / "d.mp4") as video:
        assert 5 < video.frame_count == frames < 36


def test_a_photograph_becomes_a_point_cloud_beside_its_depth(bundle: Path, tmp_path: Path) -> None:
    path = _save(tmp_path / "photo.png", noise())
    options = ("--save", "npy", "--pointcloud", tmp_path / "new" / "photo.ply", "--intrinsics", "70,70,35,28")
    assert briges("infer", bundle, path, "--out", tmp_path / "out", *options) == 0
    raw = (tmp_path / "new" / "photo.ply").read_bytes()
    start = raw.index(b"end_header\n") + 11
    assert b"element vertex 3920\n" in raw[:start]
    vertices = np.frombuffer(raw[start:], np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)]))
    assert (vertices["rgb"] == noise().reshape(-1, 3)).all()
    assert vertices["xyz"][:, 2].argmin() == np.load(tmp_path / "out" / "photo_depth.npy").argmax()


def test_images_and_videos_mix_and_a_bad_video_does_not_stop_the_rest(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    _save(folder / "1.png", noise())
    (folder / "2.mp4").write_text("not a video")
    write_video(folder / "3.avi", 4)
    _save(folder / "4.png", noise())
    assert briges("infer", bundle, folder, "--out", tmp_path / "out", "--save", "png16") == 1
    printed = capsys.readouterr()
    assert _names(tmp_path / "out") == ["1_depth.png", "3_depth.mp4", "4_depth.png"]
    assert printed.out.startswith("2 images and 4 frames of 1 video in ")
    assert f"Error: video {folder / '2.mp4'}: cannot be opened\n  expected: " in printed.err
    assert printed.err.endswith("1 of 4 inputs failed; what was wrong is said above.\n")


def test_the_temperature_reaches_a_model_that_takes_one(tmp_path: Path) -> None:
    bundle = build_stub_bundle(tmp_path, dynamic_temperature=True)
    path = _save(tmp_path / "x.png", noise())
    for options, divisor in (((), 1.0), (("--temperature", "4"), 4.0)):
        assert briges("infer", bundle, path, "--out", tmp_path, "--save", "npy", *options) == 0
        assert np.abs(np.load(tmp_path / "x_depth.npy") - luminance(noise()) / divisor).max() < 1e-3


def test_random_weights_are_announced_at_the_start_and_at_the_end_and_in_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = build_stub_bundle(tmp_path, random_weights=True)
    assert briges("infer", bundle, _save(tmp_path / "x.png", noise()), "--out", tmp_path) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("WARNING: ") and "RANDOM WEIGHTS (seed 7)" in line for line in lines] == [True, True]
    for name in ("x_depth.png", "x_depth_color.png"):
        with Image.open(tmp_path / name) as png:
            assert "RANDOM WEIGHTS (seed 7)" in png.info["briges:notice"]


def test_the_summary_gives_medians_so_that_a_slow_first_image_does_not_count() -> None:
    slow, fast = StageTimes(900.0, 900.0, 9000.0, 900.0, 900.0), StageTimes(1.25, 2.0, 300.4, 0.5, 10.0)
    assert str(Summary(3, 0, 1, 12.34, (slow, fast, fast))) == (
        "3 images in 12.3 s - median per image: "
        "read 1.2 ms, preprocess 2.0 ms, inference 300 ms, postprocess 0.5 ms, write 10.0 ms"
    )
    assert str(Summary(1, 0, 0, 1.0, (fast,))).startswith("1 image in 1.0 s - median per image: ")
    assert str(Summary(1, 2, 0, 1.0, (fast,) * 9)).startswith(
        "1 image and 8 frames of 2 videos in 1.0 s - median per frame"
    )
    assert str(Summary(0, 0, 2, 0.0, ())) == "0 images in 0.0 s"
