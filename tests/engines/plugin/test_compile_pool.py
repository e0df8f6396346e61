"""Compiling kernels in child processes: none is left behind, and what fails is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from briges.engines.plugin.compile_pool import compile_all
from briges.engines.plugin.variants import Variant
from briges.runtime.errors import BuildError

GOOD = [Variant("8.7", head_dim, half_type, 0) for head_dim in (24, 48) for half_type in ("fp16", "bf16")]
BRIGES = Path(sys.executable).parent / "briges"


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in listed.split()]


def is_compiler(pid: int) -> bool:
    """Whether it compiles kernels, and is not g++."""
    try:
        return b"compile_pool" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return False


def wait_for(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_kernels_come_in_the_order_they_were_asked_for_and_each_is_told():
    done: list[Variant] = []
    compiled = compile_all(GOOD, done.append)
    assert [kernel.variant for kernel in compiled] == GOOD
    assert sorted(done, key=GOOD.index) == GOOD
    assert all(kernel.ptx.count(".entry attention_kernel") == 1 for kernel in compiled)
    assert children_of(os.getpid()) == []


def test_a_kernel_that_cannot_be_compiled_is_named_and_ends_the_others():
    bad = Variant("6.1", 48, "fp16", 0)  # no PTX version for it in the table
    with pytest.raises(BuildError, match="KeyError") as caught:
        compile_all([GOOD[0], bad, *GOOD[1:]], lambda _: None)
    assert caught.value.subject == "attention kernel for compute capability 6.1, head_dim 48, fp16"
    assert children_of(os.getpid()) == []


@pytest.fixture
def compiling(tmp_path: Path):
    """A `briges plugin` in the middle of its work, and its children."""
    with subprocess.Popen(
        [BRIGES, "plugin", "--out", tmp_path / "plugin"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            wait_for(lambda: any(map(is_compiler, children_of(process.pid))))
            time.sleep(1)
            yield process, children_of(process.pid)
        finally:
            process.kill()


def test_ctrl_c_ends_it_at_once_with_one_line_and_leaves_nothing(compiling, tmp_path):
    process, children = compiling
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    told, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    last = "Interrupted: what was finished is kept, nothing is left half-written."
    assert [line for line in told.splitlines() if line] == [
        "trying the compiler …",
        "compiling attention kernels …",
        last,
    ]
    wait_for(lambda: not any(map(alive, children)))
    assert list(tmp_path.iterdir()) == []


def test_killed_it_takes_its_compilers_with_it(compiling):
    process, children = compiling
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(alive, children)))
