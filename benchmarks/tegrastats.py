"""What tegrastats says of a Jetson: one line at a time, of a form that differs between boards and releases.

https://docs.nvidia.com/jetson/archives/r36.4/DeveloperGuide/AT/JetsonLinuxDevelopmentTools/TegrastatsUtility.html
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from briges.benchmarks.devfreq import read_gpu_clock
from briges.benchmarks.rows import Reading

# Whose sum is the power of the module: Orin NX and Nano, the first Nano, AGX Orin, Thor. The carrier board is in none.
# AGX Orin's VDDQ_VDD2_1V8AO is part of VIN_SYS_5V0, https://forums.developer.nvidia.com/t/223111; Thor's VIN has the
# carrier board in it.
MODULE_RAILS = (
    ("VDD_IN",),
    ("POM_5V_IN",),
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
)
_SENSORS = ("gpu", "tj")  # a GPU that is off has -256 degrees; the second is the hottest of the chip
_OFF_C = -100.0


def tegrastats_command(interval_s: float) -> list[str] | None:
    """The command that prints a line every ``interval_s``; None where there is no tegrastats."""
    program = shutil.which("tegrastats")
    return None if program is None else [program, "--interval", str(max(1, round(interval_s * 1000)))]


def parse_reading(line: str, at_s: float, root: Path = Path("/")) -> Reading | None:
    """The reading of a line; None for another line. ``root``: where the file system begins."""
    memory = re.search(r"\bRAM (\d+)/\d+MB", line)
    if memory is None:
        return None
    return Reading(
        at_s=at_s,
        clock_mhz=_gpu_clock_mhz(line, root),
        memory_clock_mhz=_figure(r"\bEMC_FREQ (?:\d+%)?@(\d+)", line),
        temperature_c=_temperature_c(line),
        power_w=_power_w(line),
        utilisation=None if (percent := _figure(r"\bGR3D_FREQ (\d+)%", line)) is None else percent / 100,
        memory_used_bytes=int(memory[1]) << 20,
    )


def name_power(line: str) -> str | None:
    """Which rails the power of a line's reading is the sum of; None where none is told."""
    rails = _module_rails(_rails_mw(line))
    return f"{' + '.join(rails)} of tegrastats" if rails else None


def _gpu_clock_mhz(line: str, root: Path) -> float | None:
    # "GR3D_FREQ 14%@[407,407]" of two clusters, "3%@1109" of older releases, "3%" where root alone may know.
    told = re.search(r"\bGR3D_FREQ \d+%@\[?(\d+(?:,\d+)*)", line)
    if told:
        return float(max(map(int, told[1].split(","))))
    clock = read_gpu_clock(root)
    return clock.now_mhz if clock else None


def _temperature_c(line: str) -> float | None:
    told = {name.lower(): float(degrees) for name, degrees in re.findall(r"\b(\w+)@(-?\d+(?:\.\d+)?)C\b", line)}
    return next((told[name] for name in _SENSORS if told.get(name, _OFF_C) > _OFF_C), None)


def _power_w(line: str) -> float | None:
    milliwatts = _rails_mw(line)
    rails = _module_rails(milliwatts)
    return sum(milliwatts[rail] for rail in rails) / 1000 if rails else None


def _rails_mw(line: str) -> dict[str, int]:
    # "VDD_IN 5336mW/4970mW", now and on average; "VDD_IN 3140/3208" before JetPack 5.
    return {name: int(now) for name, now in re.findall(r"\b([A-Z]\w+) (\d+)(?:mW|/\d)", line)}


def _module_rails(milliwatts: dict[str, int]) -> tuple[str, ...]:
    return next((rails for rails in MODULE_RAILS if all(rail in milliwatts for rail in rails)), ())


def _figure(pattern: str, line: str) -> float | None:
    found = re.search(pattern, line)
    return float(found[1]) if found else None
