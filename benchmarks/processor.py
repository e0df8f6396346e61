"""What Linux says of the processor. ``root``: where its file system begins."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

_ROOT = Path("/")
_THERMAL_ZONE = re.compile(r"x86_pkg_temp|cpu.*therm", re.IGNORECASE)
_SENSOR_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")


def read_name(root: Path = _ROOT) -> str:
    """The processor's name, or else its architecture."""
    named = re.search(r"^model name\s*: *(.*\S)", read_text(root / "proc/cpuinfo"), re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def count_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_clock_mhz(root: Path = _ROOT) -> float | None:
    """The clock of the fastest core now; None where it is not told."""
    kilohertz = _numbers(root, "cpufreq/scaling_cur_freq")
    if kilohertz:
        return max(kilohertz) / 1000
    told = re.findall(r"^cpu MHz\s*: *([\d.]+)$", read_text(root / "proc/cpuinfo"), re.MULTILINE)
    return max(map(float, told)) if told else None


def is_clock_locked(root: Path = _ROOT) -> bool | None:
    """Whether every core's lowest clock is its highest; None where it is not told."""
    lowest, highest = _numbers(root, "cpufreq/scaling_min_freq"), _numbers(root, "cpufreq/scaling_max_freq")
    return lowest == highest if lowest and highest else None


def read_governor(root: Path = _ROOT) -> str | None:
    """What decides on the clock, such as "schedutil"; several, where cores differ; None where it is not told."""
    found = sorted({text for text in _texts(root, "cpufreq/scaling_governor") if text})
    return ", ".join(found) or None


def read_temperature_c(root: Path = _ROOT) -> float | None:
    """The hottest sensor of the processor; None where there is none."""
    zones = [
        zone / "temp"
        for zone in (root / "sys/class/thermal").glob("thermal_zone*")
        if _THERMAL_ZONE.search(read_text(zone / "type"))
    ]
    chips = [
        sensor
        for chip in (root / "sys/class/hwmon").glob("hwmon*")
        if read_text(chip / "name").strip() in _SENSOR_CHIPS
        for sensor in chip.glob("temp*_input")
    ]
    told = [number for path in zones or chips if (number := _number(read_text(path))) is not None]
    return max(told) / 1000 if told else None


def read_text(path: Path) -> str:
    """The text of a file that the kernel writes; empty where it cannot be read, as that of a sensor that is off."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _texts(root: Path, name: str) -> list[str]:
    return [read_text(path).strip() for path in sorted((root / "sys/devices/system/cpu").glob(f"cpu[0-9]*/{name}"))]


def _numbers(root: Path, name: str) -> list[int]:
    return [number for text in _texts(root, name) if (number := _number(text)) is not None]


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
