"""What this process takes, read from its own /proc; and where a system does not say."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from support.commands import run_python
from support.device_tools import write_tree

from briges.benchmarks.usage import allocated_bytes, resident_bytes, watch_host

linux = pytest.mark.skipif(sys.platform != "linux", reason="the figures are Linux's /proc")

# In a process of its own: what else pytest does would be in the figures.
IN_PROCESS = """
import numpy as np
from briges.benchmarks.usage import resident_bytes, watch_host

early = np.ones(200_000_000, np.uint8)
del early
before = resident_bytes()
with watch_host() as usage:
    passing = np.ones(100_000_000, np.uint8)
    del passing
    kept = np.ones(30_000_000, np.uint8)
print(usage.peak_bytes - before, usage.steady_bytes - before)
"""


@linux
def test_the_peak_is_that_of_the_block_and_not_of_what_was_before() -> None:
    done = run_python(IN_PROCESS)
    assert done.returncode == 0, done.stderr
    peak, steady = done.stdout.split()

    # Where the system may not count it, a peak of milliseconds may be missed.
    assert not os.access("/proc/self/clear_refs", os.W_OK) or 99e6 < int(peak) < 110e6
    assert 29e6 < int(steady) < 40e6


@linux
def test_resident_memory_grows_by_what_is_written_to() -> None:
    code = (
        "import numpy as np\nfrom briges.benchmarks.usage import resident_bytes\nbefore = resident_bytes()\n"
        "block = np.ones(50_000_000, np.uint8)\nprint(resident_bytes() - before)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert 45e6 < int(done.stdout) < 60e6


def statm(process: Path, pages: int) -> None:
    """Write the file of /proc that tells the resident memory."""
    write_tree(process, {"statm": f"9000 {pages} 300 1 0 400 0\n"})


@linux
def test_where_the_peak_cannot_be_reset_the_memory_is_sampled(tmp_path: Path) -> None:
    write_tree(tmp_path, {"status": "VmHWM:\t  999999 kB\n"})
    (tmp_path / "clear_refs").mkdir()  # as little writable as that of a process that may not
    page = os.sysconf("SC_PAGE_SIZE")
    statm(tmp_path, 100)
    with watch_host(tmp_path) as usage:
        statm(tmp_path, 300)
        time.sleep(0.25)
        statm(tmp_path, 70)

    assert (usage.peak_bytes, usage.steady_bytes) == (300 * page, 70 * page)


@linux
def test_the_first_sample_is_taken_at_the_start(tmp_path: Path) -> None:
    statm(tmp_path, 100)
    with watch_host(tmp_path) as usage:
        statm(tmp_path, 70)

    assert usage.peak_bytes == 100 * os.sysconf("SC_PAGE_SIZE")


@linux
def test_a_peak_that_was_counted_is_read(tmp_path: Path) -> None:
    write_tree(tmp_path, {"status": "VmPeak:\t 5000000 kB\nVmHWM:\t  4000 kB\nVmRSS:\t  3000 kB\n", "clear_refs": ""})
    statm(tmp_path, 1)
    with watch_host(tmp_path) as usage:
        pass

    assert (tmp_path / "clear_refs").read_text() == "5"
    assert usage.peak_bytes == 4000 * 1024


def test_a_system_that_does_not_say_gives_none(tmp_path: Path) -> None:
    with watch_host(tmp_path / "nowhere") as usage:
        pass

    assert (usage.steady_bytes, usage.peak_bytes, usage.other_cpu) == (None, None, None)
    assert resident_bytes(tmp_path / "nowhere") is None


def test_what_other_processes_work_is_counted_apart() -> None:
    with watch_host() as alone:
        time.sleep(0.2)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        with watch_host() as beside:
            time.sleep(0.4)
        other.kill()

    assert alone.other_cpu is not None
    assert beside.other_cpu is not None
    assert beside.other_cpu > 0.4
    assert beside.cpu < 0.3


def test_a_busy_block_takes_more_cpu_than_an_idle_one() -> None:
    with watch_host() as busy:
        sum(range(2_000_000))
    with watch_host() as idle:
        time.sleep(0.1)

    assert busy.cpu > 0.2
    assert idle.cpu < busy.cpu


def test_figures_are_filled_in_after_a_failure_too() -> None:
    with pytest.raises(ValueError, match="in the block"), watch_host() as usage:
        raise ValueError("in the block")

    assert usage.cpu >= 0
    assert (usage.steady_bytes is None) == (resident_bytes() is None)


def test_allocations_of_numpy_and_python_are_counted_at_their_most() -> None:
    def call() -> None:
        first = np.empty(1_000_000, np.float32)
        del first
        second = np.empty(500_000, np.float32)
        text = "x" * 1_000_000
        assert second.nbytes + len(text) == 3_000_000

    assert 4_000_000 <= allocated_bytes(call) < 4_010_000


def test_a_call_that_only_frees_allocates_nothing() -> None:
    kept = [np.empty(1_000_000, np.float32)]

    assert allocated_bytes(kept.clear) < 10_000


def test_tracing_ends_after_a_failure_and_goes_on_where_it_went_on_before() -> None:
    with pytest.raises(ZeroDivisionError):
        allocated_bytes(lambda: 1 // 0)
    assert not tracemalloc.is_tracing()

    tracemalloc.start()
    try:
        bytearray(5_000_000)  # a peak from before is not the call's
        assert 100_000 <= allocated_bytes(lambda: bytearray(100_000)) < 200_000
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
