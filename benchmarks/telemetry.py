"""Clocks, temperature, power, load and memory of the device while something is timed.

One child tells them line by line, nvidia-smi or on a Jetson tegrastats; without a GPU they are read from Linux's /sys.
What is not told is None, and a tool that is missing, falls silent or dies only ends the readings.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from briges.benchmarks import nvidia_smi, processor, tegrastats
from briges.benchmarks.rows import Reading
from briges.runtime.jetson import read_jetson

INTERVAL_S = 0.5
_JOIN_S = 1.0
# Readings that say nothing of more than half of the time say nothing of its energy.
_LEAST_COVERED = 0.5

Add = Callable[[Reading, str | None], None]


@dataclass(frozen=True)
class Tool:
    """A command that writes lines until it is ended. ``name_power``: what a line's power is the power of, in words."""

    command: Sequence[str]
    parse: Callable[[str, float], Reading | None]
    name_power: Callable[[str], str | None]


class Telemetry:
    """What was told so far. ``power``: which power the readings tell, in words; None as long as they tell none."""

    def __init__(self) -> None:
        self.power: str | None = None
        self._readings: list[Reading] = []

    def readings(self, started_s: float) -> tuple[Reading, ...]:
        """Those since ``started_s`` on the clock of ``collect``, with ``at_s`` counted from it."""
        told = self._readings.copy()
        return tuple(replace(one, at_s=one.at_s - started_s) for one in told if one.at_s >= started_s)

    def add(self, reading: Reading, power: str | None) -> None:
        """Take one more, whose ``at_s`` is a time of the clock."""
        self._readings.append(reading)
        self.power = self.power or power


def choose_tool(index: int | None, *, interval_s: float = INTERVAL_S, root: Path = Path("/")) -> Tool | None:
    """What tells of CUDA's GPU number ``index``, or of the whole Jetson, in ``collect``; None where nothing does.

    root: where the file system begins that tells a Jetson.
    """
    if read_jetson(root) is not None:
        command = tegrastats.tegrastats_command(interval_s)
        return None if command is None else Tool(command, tegrastats.parse_reading, tegrastats.name_power)
    bus_id = None if index is None else nvidia_smi.find_bus_id(index)
    return None if bus_id is None else nvidia_smi_tool(bus_id, interval_s=interval_s)


def nvidia_smi_tool(bus_id: str, *, interval_s: float = INTERVAL_S) -> Tool | None:
    """What tells of the GPU at the PCI address ``bus_id``; None where there is no nvidia-smi."""
    command = nvidia_smi.query_command(bus_id, nvidia_smi.READING_FIELDS)
    if command is None:
        return None
    loop = f"--loop-ms={max(1, round(interval_s * 1000))}"
    return Tool([*command, loop], nvidia_smi.parse_reading, nvidia_smi.name_power)


@contextlib.contextmanager
def telemetry(
    index: int | None, *, interval_s: float = INTERVAL_S, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Telemetry]:
    """Collect readings of CUDA's GPU number ``index``, or of the processor if it is None, until the block is left.

    clock: monotonic, in seconds.
    """
    tool = choose_tool(index, interval_s=interval_s)
    if tool is None and index is not None:
        yield Telemetry()
        return
    with collect(tool, interval_s=interval_s, clock=clock) as collected:
        yield collected


@contextlib.contextmanager
def collect(
    tool: Tool | None,
    *,
    interval_s: float = INTERVAL_S,
    clock: Callable[[], float] = time.perf_counter,
    root: Path = Path("/"),
) -> Iterator[Telemetry]:
    """Collect what ``tool`` writes, or, if it is None, what the processor tells every ``interval_s``.

    The tool is ended when the block is left, however that happens. root: where the processor's file system begins.
    """
    collected, stop = Telemetry(), threading.Event()
    with contextlib.ExitStack() as stack:
        if tool is None:
            watcher = threading.Thread(target=_watch_processor, args=(stop, interval_s, clock, root, collected.add))
        else:
            child = stack.enter_context(_running(tool.command))
            watcher = threading.Thread(target=_watch_child, args=(child, tool, clock, collected.add))
        watcher.daemon = True
        watcher.start()
        try:
            yield collected
        finally:
            stop.set()
            stack.close()
            watcher.join(_JOIN_S)


def energy_mj(readings: Sequence[Reading], seconds: float) -> float | None:
    """Millijoule in the first ``seconds`` of timing: the power between readings on a straight line, beyond them even.

    None where power is not told, or the readings leave out more than half of the time.
    """
    told = [(one.at_s, one.power_w) for one in readings if one.power_w is not None and 0 <= one.at_s <= seconds]
    if not told or seconds <= 0 or told[-1][0] - told[0][0] < _LEAST_COVERED * seconds:
        return None
    line = [(0.0, told[0][1]), *told, (seconds, told[-1][1])]
    joule = sum(
        (later - at) * (power + next_power) / 2 for (at, power), (later, next_power) in itertools.pairwise(line)
    )
    return joule * 1000


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[str] | None]:
    try:
        # In a session of its own: Ctrl-C is for us, and we end it.
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError:
        yield None
        return
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def _watch_child(child: subprocess.Popen[str] | None, tool: Tool, clock: Callable[[], float], add: Add) -> None:
    if child is None or child.stdout is None:
        return
    with child.stdout as lines:
        for line in lines:
            reading = tool.parse(line, clock())
            if reading is not None:
                add(reading, tool.name_power(line))


def _watch_processor(
    stop: threading.Event, interval_s: float, clock: Callable[[], float], root: Path, add: Add
) -> None:
    while True:
        clock_mhz, temperature_c = processor.read_clock_mhz(root), processor.read_temperature_c(root)
        if clock_mhz is not None or temperature_c is not None:
            add(Reading(clock(), clock_mhz, None, temperature_c, None, None, None), None)
        if stop.wait(interval_s):
            return
