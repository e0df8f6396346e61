"""A build that somebody interrupts, in a process like that of a user: nothing is left running or half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.commands import environment, hide_modules, run_python
from support.tiny_graphs import COMPLETED, SLOW_BLOCKS, write_attention_graph

_WATCHED = """
import os, sys
from pathlib import Path
from briges.engines.job import PlanJob
from briges.engines.spec import EngineSpec
from briges.engines.worker import build_plan

def on_progress(phase, done, total):
    if (phase, done) == ("Building engine", 1):
        print(Path(f"/proc/self/task/{os.getpid()}/children").read_text(), flush=True)

try:
    build_plan(PlanJob(sys.argv[1], sys.argv[2], EngineSpec("tensorrt-rtx")), Path(sys.argv[3]), on_progress)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture
def building(tmp_path: Path):
    """A process in the middle of a real build, and the id of its child."""
    graph = write_attention_graph(tmp_path / "graph.onnx", SLOW_BLOCKS)
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-c", _WATCHED, *map(str, (graph, tmp_path / "plan", tmp_path / "log"))]
    variables = environment() | {"TMPDIR": str(tmp_path / "temporary")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        yield parent, child
        parent.kill()


def is_running(pid: int) -> bool:
    """Whether there is such a process, those that have ended and were not waited for left out."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_ctrl_c_ends_the_build_at_once_and_leaves_nothing(building, tmp_path):
    parent, child = building
    parent.send_signal(signal.SIGINT)
    assert parent.communicate(timeout=20)[0] == "interrupted\n"
    assert not is_running(child)
    assert COMPLETED not in (tmp_path / "log").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph.onnx", "log", "temporary"]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_terminals_ctrl_c_does_not_reach_the_child(building):
    parent, child = building
    assert os.getpgid(child) == child != os.getpgid(parent.pid)


def test_a_parent_killed_without_warning_takes_the_child_with_it(building):
    parent, child = building
    os.kill(child, signal.SIGSTOP)  # so that it cannot end because it noticed by itself
    try:
        parent.kill()
        parent.wait(timeout=20)
        deadline = time.monotonic() + 10
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_running(child)
    finally:
        if is_running(child):
            os.kill(child, signal.SIGKILL)


def test_a_missing_sdk_is_told_without_a_process(tmp_path):
    code = _WATCHED.replace("tensorrt-rtx", "tensorrt")
    path = [hide_modules(tmp_path / "hiding", ["tensorrt"])]
    done = run_python(code, tmp_path / "graph.onnx", tmp_path / "plan", tmp_path / "log", path=path)
    assert "MissingExtraError: flavour tensorrt: the Python module tensorrt is not installed" in done.stderr
    assert "pip install 'briges-trt[tensorrt]'" in done.stderr
    assert not (tmp_path / "log").exists()
