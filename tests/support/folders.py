"""Folders before and after something was written there, and a process killed while it writes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

MARKER = "manifest.json"
OLD = json.dumps({"schema_version": 1, "files": {"model.onnx": {}}})


def contents(folder: Path) -> dict[str, str]:
    """Every file below ``folder``, hidden ones too, with its text."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def bundle_contents(name: str) -> dict[str, str]:
    """What ``contents`` gives for the folder around an old bundle."""
    return {f"{name}/{MARKER}": OLD, f"{name}/model.onnx": "old"}


def make_old_bundle(folder: Path) -> Path:
    """A bundle as far as files.py knows one: a marker, and the file it lists."""
    folder.mkdir()
    (folder / MARKER).write_text(OLD)
    (folder / "model.onnx").write_text("old")
    return folder


def write_half(path: Path) -> None:
    """Write something and fail."""
    path.write_text("half")
    raise ZeroDivisionError


def kill_when_half_written(code: str, *arguments: Path) -> None:
    """Run ``code`` until it prints a line, then end it as `kill -9` does."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half written\n"
        child.kill()
    assert child.returncode == -signal.SIGKILL
