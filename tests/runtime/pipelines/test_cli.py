"""The command `briges stream`, in this process and, where it is interrupted, in one of its own."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support.media import briges, briges_process, write_video
from support.stub_bundle import build_stub_bundle

from briges.runtime.video import open_video


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.avi", 12)


def test_a_file_is_done_whole_and_the_figures_are_one_line(
    bundle: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "depth.mp4"
    assert briges("stream", bundle, clip, "--out", out, "--side-by-side", "--stabilise") == 0
    printed = capsys.readouterr()
    assert re.fullmatch(
        r"12 frames in [0-9.]+ s - [0-9.]+ fps - latency median \d+ ms, last \d+ ms - 0 dropped - onnxruntime .*"
        rf" - depth in {re.escape(str(out))}\n",
        printed.out,
    )
    assert printed.err == ""
    with open_video(out) as video:
        assert (video.width_px, video.fps, video.frame_count) == (140, 12.0, 12)


def test_without_an_output_there_are_figures_alone(
    bundle: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert briges("stream", bundle, clip, "--max-frames", 5) == 0
    assert capsys.readouterr().out.startswith("5 frames in ")
    assert os.listdir(clip.parent) == ["clip.avi"]


def test_random_weights_are_announced_at_the_end_too(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert briges("stream", build_stub_bundle(tmp_path, random_weights=True), clip) == 0
    assert capsys.readouterr().err.count("RANDOM WEIGHTS (seed 7)") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no.mp4"], 1, "Error: video no.mp4: does not exist"),
        (["clip.avi", "--out", "depth.avi"], 2, "Error: --out: depth.avi\n  expected: a file named .mp4"),
        (["clip.avi", "--max-frames", "0"], 2, "0 is not in the range x>=1"),
        (["clip.avi", "--semantic-interval", "3"], 2, "semantic_interval"),
        (["clip.avi", "--temperature", "3"], 2, "temperature: 3.0 for a bundle whose temperature is none"),
        (["clip.avi", "--out", "clip.avi/x.mp4"], 1, "part of that path is a file"),
    ],
)
def test_what_cannot_be_is_one_error(
    bundle: Path,
    clip: Path,
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(clip.parent)
    assert briges("stream", bundle, *arguments) == code
    assert message in capsys.readouterr().err
    assert os.listdir(clip.parent) == ["clip.avi"]


def test_a_camera_that_vanishes_is_told_and_its_video_is_kept(
    bundle: Path,
    tmp_path: Path,
    network_camera: Callable[[list[tuple[int, int]]], AbstractContextManager[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "depth.mp4"
    with network_camera([(56, 70)] * 40) as url:
        assert briges("stream", bundle, url, "--out", out, "--all") == 0
    printed = capsys.readouterr()
    found = re.search(rf"WARNING: stream {url}: ended after (\d+) frames; what came until then is kept\n", printed.err)
    assert found
    assert printed.out.startswith(f"{found[1]} frames in ")
    with open_video(out) as video:
        assert video.frame_count == int(found[1]) >= 38


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_a_polite_kill_end_it_well_with_a_playable_video(
    bundle: Path, tmp_path: Path, number: signal.Signals
) -> None:
    path = write_video(tmp_path / "clip.avi", 900, height=448, width=560)
    process = briges_process("stream", bundle, path, "--out", tmp_path / "depth.mp4")
    deadline_s = time.monotonic() + 60
    while not any(file.stat().st_size > 0 for file in tmp_path.glob(".depth.*.mp4")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["clip.avi", "depth.mp4"]
    with open_video(tmp_path / "depth.mp4") as video:
        decoded = len(list(video.frames))
    assert re.match(rf"{decoded} frames? in ", out)
    assert 0 < decoded < 900


def test_a_terminal_gets_a_live_line(bundle: Path, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 200, height=448, width=560)
    terminal, stderr = pty.openpty()
    process = briges_process("stream", bundle, path, stderr=stderr)
    os.close(stderr)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that its last writer has gone
        while True:
            shown += os.read(terminal, 65536)
    os.close(terminal)
    assert process.communicate(timeout=60)[0].startswith("200 frames in ")
    assert process.returncode == 0
    assert re.search(r"frame \d+: [0-9.]+ fps, latency \d+ ms \(median \d+\), 0 dropped", shown.decode())


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert briges("stream", "--help") == 0
    assert capsys.readouterr().out.count("\n    briges stream build/engine ") == 4
