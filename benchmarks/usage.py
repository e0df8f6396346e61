"""What a measurement costs the host: resident memory, processor time, allocations of Python and NumPy."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SELF = Path("/proc/self")
_RESET_PEAK = "5"  # proc(5): what sets the peak of the resident memory back to what it is now
_SAMPLE_S = 0.05


@dataclass
class HostUsage:
    """Of this process, filled in when the block of ``watch_host`` ends; None where the system does not say.

    ``steady_bytes``: resident memory at its end. ``peak_bytes``: the most within it. ``cpu``: seconds of CPU per
    second, all threads, 1.0 is one core; ``other_cpu``: those of everything else on the machine.
    """

    steady_bytes: int | None = None
    peak_bytes: int | None = None
    cpu: float = 0.0
    other_cpu: float | None = None


@contextlib.contextmanager
def watch_host(process: Path = SELF) -> Iterator[HostUsage]:
    """Watch what this process takes until the block is left, by an exception too. ``process``: its folder in /proc.

    Linux counts the peak by itself where it lets a process reset it; else the memory is sampled twenty times a second.
    """
    usage = HostUsage()
    counted = _reset_peak(process)
    with contextlib.ExitStack() as stack:
        samples = [] if counted else stack.enter_context(_sampling(process))
        machine_s, cpu_s, started_s = _busy_s(process.parent), time.process_time(), time.perf_counter()
        try:
            yield usage
        finally:
            seconds = time.perf_counter() - started_s
            used_s, ended_s = time.process_time() - cpu_s, _busy_s(process.parent)
            usage.cpu = used_s / seconds if seconds > 0 else 0.0
            if machine_s is not None and ended_s is not None and seconds > 0:
                usage.other_cpu = max(0.0, ended_s - machine_s - used_s) / seconds
            usage.steady_bytes = resident_bytes(process)
            peak = _status_bytes(process, "VmHWM") if counted else max(samples, default=None)
            known = [size for size in (peak, usage.steady_bytes) if size is not None]
            usage.peak_bytes = max(known, default=None)


def resident_bytes(process: Path = SELF) -> int | None:
    """Memory that this process holds now; None where the system does not say. ``process``: its folder in /proc."""
    try:
        pages = int((process / "statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def allocated_bytes(call: Callable[[], object]) -> int:
    """How far the memory of Python and NumPy rises above its start during one ``call``, which is slowed by this.

    What libraries allocate by themselves is not in it. Raises what ``call`` does.
    """
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        call()
        return max(0, tracemalloc.get_traced_memory()[1] - before)
    finally:
        if not was_tracing:
            tracemalloc.stop()


def _busy_s(proc: Path) -> float | None:
    """Seconds that all cores together have worked since the machine started; None where the system does not say."""
    try:
        first = (proc / "stat").read_text(encoding="ascii", errors="replace").partition("\n")[0].split()
        user, nice, system, _idle, _waiting, interrupts, soft, stolen = map(int, first[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def _reset_peak(process: Path) -> bool:
    try:
        (process / "clear_refs").write_text(_RESET_PEAK, encoding="ascii")
    except OSError:
        return False
    return _status_bytes(process, "VmHWM") is not None


def _status_bytes(process: Path, field: str) -> int | None:
    try:
        status = (process / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(rf"^{field}:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) << 10 if found else None


@contextlib.contextmanager
def _sampling(process: Path) -> Iterator[list[int]]:
    first = resident_bytes(process)
    if first is None:
        yield []
        return
    samples, stop = [first], threading.Event()

    def sample() -> None:
        while not stop.wait(_SAMPLE_S):
            samples.append(resident_bytes(process) or 0)

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield samples
    finally:
        stop.set()
        sampler.join()
