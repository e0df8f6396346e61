"""`briges build` in a process of its own, caught in the middle; and what a build may leave beside its bundle."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from support.commands import MAIN, environment

from briges.runtime.files import sha256_of


@contextlib.contextmanager
def building(*arguments: object, until: str) -> Iterator[subprocess.Popen[str]]:
    """Start `briges build ARGUMENTS`; gives the process once it said that a step begins whose name starts so."""
    command = [sys.executable, "-c", MAIN, "build", *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment(), **streams) as process:
        try:
            assert process.stderr is not None
            said = []
            while not (said and said[-1].startswith(until)):
                said.append(process.stderr.readline())
                assert said[-1], f"ended without {until!r}: {said}"
            yield process
        finally:
            process.kill()


def wait_for_tensorrt(process: subprocess.Popen[str], log: Path) -> int:
    """Wait until the process that ``process`` has started is at work, as its log shows; returns its id."""
    deadline = time.monotonic() + 30
    while not (log.exists() and "Parsing node" in log.read_text()):
        assert time.monotonic() < deadline, "TensorRT does not start"
        time.sleep(0.005)
    (pid,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(pid)


def has_ended(pid: int) -> bool:
    """Whether there is no such process any more, or it has ended and was not waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def hashes(folder: Path) -> dict[str, str]:
    """File name -> sha256."""
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


def hidden(folder: Path) -> list[str]:
    """What lies hidden in ``folder``: temporary folders, and the locks of builds."""
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def left_in(temporary: Path) -> list[str]:
    """What lies in a folder for temporary files, but for one that ONNX Runtime keeps there."""
    return sorted(path.name for path in temporary.iterdir() if path.name != ".ses")
