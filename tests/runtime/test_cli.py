"""The command `briges infer`: what it prints, its exit codes, and what it refuses before it costs anything."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from support.media import briges, briges_process, noise, write_video
from support.stub_bundle import build_stub_bundle

from briges.runtime.video import open_video


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(noise()).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder of 400 photographs: seconds of work."""
    (tmp_path / "many").mkdir()
    for index in range(400):
        Image.fromarray(noise(448, 560, seed=0)[:: 1 + index % 2]).save(tmp_path / "many" / f"{index}.bmp")
    return tmp_path / "many"


def test_all_well_prints_one_line_on_stdout_and_nothing_on_stderr(bundle: Path, photo: Path) -> None:
    process = briges_process("infer", bundle, photo, "--out", photo.parent / "depth", "--threads", 1)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    stages = ", ".join(rf"{stage} [0-9.]+ ms" for stage in ("read", "preprocess", "inference", "postprocess", "write"))
    engine = rf"onnxruntime {re.escape(onnxruntime.__version__)} \w+ - outputs in {photo.parent / 'depth'}"
    assert re.fullmatch(rf"1 image in [0-9.]+ s - median per image: {stages} - {engine}\n", out)


def test_bad_inputs_are_reported_at_once_and_the_good_ones_are_done(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(noise()).save(folder / "good.png")
    Image.fromarray(noise(200, 200)).save(folder / "zz-good.jpg")
    whole = (folder / "zz-good.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no picture")
    (folder / "moov.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(500))
    Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    Image.new("1", (20000, 700)).save(folder / "wide.png")
    process = briges_process("infer", bundle, folder, "--out", tmp_path / "out", "--save", "npy")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["good_depth.npy", "zz-good_depth.npy"]
    assert out.startswith("2 images in ")
    reasons = {
        "empty.png": "is empty (0 bytes)",
        "moov.mp4": "cannot be opened",
        "pixel.png": "1x1 pixels",
        "text.jpg": "is not an image, or of a format that is not supported",
        "truncated.jpg": "is damaged or truncated: ",
        "wide.png": "20000x700 pixels",
    }
    lines = err.splitlines()
    for index, (name, reason) in enumerate(reasons.items()):
        error, expected, cure = lines[3 * index : 3 * index + 3]
        assert error.startswith(f"Error: {'video' if 'mp4' in name else 'image'} {folder / name}: {reason}")
        assert expected.startswith("  expected: ")
        assert cure.startswith("  cure: ")
    assert lines[18:] == ["6 of 8 inputs failed; what was wrong is said above."]


def test_a_run_in_which_everything_failed_prints_no_summary(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.jpg").write_text("bad")
    assert briges("infer", bundle, tmp_path / "x.jpg", "--out", tmp_path / "out") == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["nowhere.jpg"], "Error: input nowhere.jpg: does not exist\n  expected: files named "),
        (["bare"], "Error: folder bare: holds no image or video\n"),
        (["*.webp"], "Error: pattern *.webp: matches no image or video\n"),
        (["photo.png", "nowhere.jpg"], "Error: input nowhere.jpg: does not exist\n"),
    ],
)
def test_mistyped_inputs_are_found_before_the_bundle_is_read_or_the_folder_made(
    photo: Path,
    paths: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(photo.parent)
    Path("bare").mkdir()
    assert briges("infer", "no-such-bundle", *paths, "--out", "out") == 1
    assert capsys.readouterr().err.startswith(message)
    assert not Path("out").exists()


def test_an_unwritable_out_is_found_before_the_bundle_is_read(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for out in (photo, photo / "below"):
        assert briges("infer", "no-such-bundle", photo, "--out", out) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"Error: output {out}: cannot be written: ")
        assert "cure: part of that path is a file: choose another folder with --out" in error


def _drop_engine(bundle: Path) -> None:
    (bundle / "model.onnx").unlink()


def _flip_a_bit(bundle: Path) -> None:
    data = bytearray((bundle / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "model.onnx").unlink()  # it may be a hard link
    (bundle / "model.onnx").write_bytes(data)


def _come_from_the_future(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 99}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop_engine, "the file model.onnx is missing"),
        (_flip_a_bit, "model.onnx has sha256 "),
        (_come_from_the_future, "manifest.json has schema version 99\n  expected: schema version 3\n"),
        (shutil.rmtree, "does not exist"),
    ],
)
def test_a_damaged_or_foreign_bundle_is_refused(
    bundle: Path, photo: Path, damage: Callable[[Path], None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = photo.parent / "engine"
    shutil.copytree(bundle, copy)
    damage(copy)
    assert briges("infer", copy, photo, "--out", photo.parent / "out") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"Error: bundle {copy}: {message}")
    assert "cure: build it again with `make engine` or `briges build`" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--colormap", "rainbow"], "'rainbow' is not one of 'inferno', 'magma'"),
        (["--save", "jpg"], "'jpg' is not one of 'png16', 'npy', 'color'"),
        (["--threads", "0"], "0 is not in the range x>=1"),
        (["--temperature", "0"], "0.0 is not in the range x>0"),
        (["--temperature", "3"], "temperature: 3.0 for a bundle whose temperature is none"),
        (["--fit", "crop"], "'crop' is not one of 'pad', 'stretch'"),
        (["--video", "x.mp4"], "Give PATHS, or one video with --video."),
        (["--intrinsics", "1,2,3,4"], "point cloud: --intrinsics alone"),
        (["--pointcloud", "x.ply", "--intrinsics", "1,2,3"], "intrinsics: '1,2,3'"),
        (["--semantic-interval", "2"], "semantic_interval"),
    ],
)
def test_options_that_cannot_be_are_usage_errors(
    bundle: Path, photo: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert briges("infer", bundle, photo, "--out", photo.parent / "out", *options) == 2
    assert message in capsys.readouterr().err


def test_the_bundle_the_paths_and_out_are_required(
    bundle: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, missing in (
        ((), "'BUNDLE'"),
        ((bundle, "--out", "x"), "Give PATHS, or one video with --video."),
        ((bundle, photo), "'--out'"),
    ):
        assert briges("infer", *arguments) == 2
        assert missing in capsys.readouterr().err


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert briges("infer", "--help") == 0
    shown = capsys.readouterr().out
    assert shown.count("\n    briges infer build/engine ") == 4


@pytest.mark.parametrize(("name", "limit_bytes"), [("a.png", 5000), ("clip.avi", 2000)])
def test_a_full_disk_stops_the_run_at_once_and_leaves_nothing_half_written(
    bundle: Path, tmp_path: Path, name: str, limit_bytes: int
) -> None:
    (tmp_path / "in").mkdir()
    for file in ("a.png", "b.png"):
        Image.fromarray(noise()).save(tmp_path / "in" / file)
    write_video(tmp_path / "in" / "clip.avi", 60)
    setup = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))"
    paths = (tmp_path / "in" / name, tmp_path / "in" / "b.png")
    process = briges_process("infer", bundle, *paths, "--out", tmp_path / "out", "--save", "npy", setup=setup)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert os.listdir(tmp_path / "out") == [], "neither a part of the first nor the second"
    assert err.startswith(f"Error: output {tmp_path / 'out'}")
    assert "expected: a writable place with enough free space" in err
    assert "Traceback" not in err


def _interrupt_when(process_ready: Callable[[], bool], *arguments: object) -> str:
    process = briges_process(*arguments)
    deadline = time.monotonic() + 60
    while not process_ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "Traceback" not in err
    return err.strip()


def test_ctrl_c_keeps_what_is_finished_and_leaves_nothing_half_written(
    bundle: Path, many: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    err = _interrupt_when((out / "3_depth_color.png").exists, "infer", bundle, many, "--out", out)
    assert err == "Interrupted: what was finished is kept, nothing is left half-written."
    names = os.listdir(out)
    assert 12 <= len(names) < 3 * 400, "it was interrupted in the middle"
    assert [name for name in names if not re.fullmatch(r"\d+_depth(\.png|\.npy|_color\.png)", name)] == []
    for name in names:
        if name.endswith(".npy"):
            assert np.load(out / name).dtype == np.float32
        else:
            with Image.open(out / name) as image:
                image.load()


def test_ctrl_c_in_a_video_discards_what_was_encoded_of_it(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = write_video(tmp_path / "clip.avi", 600, height=448, width=560)

    def encoding() -> bool:
        return out.is_dir() and any(file.stat().st_size > 0 for file in out.glob(".clip_depth.*.mp4"))

    err = _interrupt_when(encoding, "infer", bundle, path, "--out", out)
    assert err == "Interrupted: what was finished is kept, nothing is left half-written."
    assert os.listdir(out) == []


def test_ctrl_c_keeps_what_was_encoded_of_the_one_video_that_was_asked_for(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "depth.mp4"
    path = write_video(tmp_path / "clip.avi", 600, height=448, width=560)

    def encoding() -> bool:
        return any(file.stat().st_size > 0 for file in tmp_path.glob(".depth.*.mp4"))

    err = _interrupt_when(encoding, "infer", bundle, "--video", path, "--out", out)
    assert err == "Interrupted: what was finished is kept, nothing is left half-written."
    assert sorted(os.listdir(tmp_path)) == ["clip.avi", "depth.mp4"]
    with open_video(out) as video:
        assert 0 < len(list(video.frames)) < 600


def test_a_terminal_gets_a_progress_bar_and_error_texts_are_not_taken_for_markup(bundle: Path, photo: Path) -> None:
    bad = photo.parent / "[bold]bad[red].jpg"
    bad.write_text("no picture")
    terminal, stderr = pty.openpty()
    process = briges_process("infer", bundle, bad, photo, "--out", photo.parent, stderr=stderr)
    os.close(stderr)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that its last writer has gone
        while True:
            shown += os.read(terminal, 65536)
    os.close(terminal)
    assert process.communicate(timeout=60)[0].startswith("1 image in ")
    assert process.returncode == 1
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"depth .*2/2 ", plain)
    assert "[bold]bad[red].jpg" in re.sub(r"\s", "", plain), "a long path may be wrapped"
