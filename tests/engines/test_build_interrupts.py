"""`briges build` stopped, killed, or started twice, in processes like those of users."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.build_process import building, has_ended, hashes, hidden, left_in, wait_for_tensorrt
from support.building import build_for_onnxruntime
from support.commands import run_briges
from support.stub_bundle import write_stub_model

from briges.engines.request import only_one
from briges.runtime.errors import BuildError

RTX = ("--flavour", "tensorrt-rtx")
GATE, TENSORRT = "checking the typed ONNX", "building model with tensorrt-rtx"
INTERRUPTED = "Interrupted: what was finished is kept, nothing is left half-written.\n"


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An old bundle, with its log, that no test replaces."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    build_for_onnxruntime(write_stub_model(tmp_path / "old-model"), tmp_path / "engine")
    (tmp_path / "engine.log").write_text("of the old bundle")
    before = hashes(tmp_path / "engine")
    yield tmp_path / "engine"
    assert hashes(tmp_path / "engine") == before


def assert_interrupted(process: subprocess.Popen[str], tmp_path: Path) -> None:
    """The process ended because it was asked to, said so, and left nothing but the lock."""
    assert process.wait(timeout=30) == 1
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read() == ""
    told = process.stderr.read()
    assert told.endswith(INTERRUPTED)
    assert "Traceback" not in told
    assert hidden(tmp_path) == [".engine.lock"]
    assert left_in(tmp_path / "temporary") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_build_stopped_in_its_gate_leaves_everything_as_it_was(typed_tiny, out, tmp_path, number):
    with building(typed_tiny, "--out", out, *RTX, until=GATE) as process:
        process.send_signal(number)
        assert_interrupted(process, tmp_path)
    assert (tmp_path / "engine.log").read_text() == "of the old bundle"


def test_a_build_stopped_while_tensorrt_works_ends_tensorrt_too(typed_tiny, out, tmp_path):
    with building(typed_tiny, "--out", out, *RTX, until=TENSORRT) as process:
        child = wait_for_tensorrt(process, tmp_path / "engine.log")
        process.send_signal(signal.SIGINT)
        assert_interrupted(process, tmp_path)
        assert has_ended(child)


def test_a_second_build_of_a_bundle_is_told_at_once_and_a_killed_one_locks_nobody_out(typed_tiny, out, tmp_path):
    stub = write_stub_model(tmp_path / "stub", batch=2)
    with building(typed_tiny, "--out", out, *RTX, until=GATE) as first:
        os.kill(first.pid, signal.SIGSTOP)
        second = run_briges("build", stub, "--out", out, "--flavour", "onnxruntime")
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == (
            "verifying the model …\n"
            f"Error: bundle {out}: is being built by another process\n"
            "  expected: one build of a bundle at a time\n"
            "  cure: wait for it, or choose another folder with --out\n"
        )
        # Another bundle beside it is nobody's business.
        assert run_briges("build", stub, "--out", tmp_path / "other", "--flavour", "onnxruntime").returncode == 0
        first.kill()
        first.wait()
    again = run_briges("build", tmp_path / "old-model", "--out", out, "--flavour", "onnxruntime")
    assert again.returncode == 0
    assert again.stdout.startswith(f"{out}: up to date. ")


def test_a_bundle_is_locked_by_whatever_name_it_is_called(tmp_path, monkeypatch):
    (tmp_path / "engine").mkdir()
    (tmp_path / "link").symlink_to("engine")
    with only_one(tmp_path / "engine"):
        for name in (tmp_path / "link", tmp_path / "link" / ".." / "engine"):
            with pytest.raises(BuildError, match="is being built by another process"), only_one(name):
                pass
        monkeypatch.chdir(tmp_path / "engine")
        with pytest.raises(BuildError, match="is being built by another process"), only_one(Path(".")):
            pass
    with only_one(tmp_path / "link"):
        assert hidden(tmp_path) == [".engine.lock"]


def test_a_build_killed_while_tensorrt_works_takes_tensorrt_with_it_and_the_next_one_works(typed_tiny, out, tmp_path):
    with building(typed_tiny, "--out", out, *RTX, until=TENSORRT) as process:
        child = wait_for_tensorrt(process, tmp_path / "engine.log")
        process.kill()
        process.wait()
    assert run_briges("build", tmp_path / "old-model", "--out", out, "--flavour", "onnxruntime").returncode == 0
    assert has_ended(child)
    # A kill without warning leaves its half-made folder, which a build a day later sweeps.
    (left,) = (name for name in hidden(tmp_path) if name != ".engine.lock")
    assert left.startswith(".engine.briges-")
    os.utime(tmp_path / left, (0, 0))
    shutil.copytree(out, tmp_path / "kept")
    rebuilt = run_briges("build", tmp_path / "old-model", "--out", out, "--flavour", "onnxruntime", "--force")
    assert rebuilt.returncode == 0
    assert hidden(tmp_path) == [".engine.lock"]
    shutil.rmtree(out)
    (tmp_path / "kept").rename(out)
