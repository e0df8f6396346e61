"""What nvidia-smi says of one GPU, and how it is asked."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Sequence

from briges.benchmarks.rows import Reading
from briges.runtime.gpu import DRIVER_LIBRARY

# `nvidia-smi --help-query-gpu`: MHz, MHz, degrees Celsius, W, %, MiB. On Ampere and later the power is that of the
# last second on average.
READING_FIELDS = ("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw", "utilization.gpu", "memory.used")
_TIMEOUT_S = 5
_BUS_BYTES = 32


def find_bus_id(index: int, library: str = DRIVER_LIBRARY) -> str | None:
    """The PCI address of CUDA's GPU number ``index``; None where there is none.

    nvidia-smi counts GPUs in another order than CUDA does, and does not heed CUDA_VISIBLE_DEVICES.
    """
    device, bus = ctypes.c_int(), ctypes.create_string_buffer(_BUS_BYTES)
    try:
        cuda = ctypes.CDLL(library)
        failed = (
            cuda.cuInit(ctypes.c_uint(0))
            or cuda.cuDeviceGet(ctypes.byref(device), ctypes.c_int(index))
            or cuda.cuDeviceGetPCIBusId(bus, ctypes.c_int(_BUS_BYTES), device)
        )
    except (OSError, AttributeError):  # no library, or one that lacks a function
        return None
    return None if failed else bus.value.decode(errors="replace")


def query_command(bus_id: str, fields: Sequence[str]) -> list[str] | None:
    """The command that prints ``fields`` of one GPU on a line; None where there is no nvidia-smi."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    return [program, "-i", bus_id, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]


def query(bus_id: str, fields: Sequence[str]) -> dict[str, str]:
    """Ask once; what is not told is left out."""
    command = query_command(bus_id, fields)
    if command is None:
        return {}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    values = _split(done.stdout.strip(), fields)
    return {name: text for name, text in values.items() if not re.fullmatch(r"\[.*\]|N/A|", text)}


def number(values: dict[str, str], field: str) -> float | None:
    """A figure among ``values``; None where it is not told, which nvidia-smi writes as "[N/A]" and in other ways."""
    try:
        return float(values[field])
    except (KeyError, ValueError):
        return None


def parse_reading(line: str, at_s: float) -> Reading | None:
    """The reading of a line of READING_FIELDS; None for another line."""
    values = _split(line, READING_FIELDS)
    clock, memory_clock, temperature, power, utilisation, mebibytes = (
        number(values, field) for field in READING_FIELDS
    )
    told = (clock, memory_clock, temperature, power, utilisation, mebibytes)
    if all(value is None for value in told):
        return None
    return Reading(
        at_s=at_s,
        clock_mhz=clock,
        memory_clock_mhz=memory_clock,
        temperature_c=temperature,
        power_w=power,
        utilisation=None if utilisation is None else utilisation / 100,
        memory_used_bytes=None if mebibytes is None else int(mebibytes) << 20,
    )


def name_power(line: str) -> str | None:
    """Which power a line's reading tells, in words; None where it tells none."""
    told = number(_split(line, READING_FIELDS), "power.draw")
    return None if told is None else "power.draw of nvidia-smi"


def _split(line: str, fields: Sequence[str]) -> dict[str, str]:
    values = [value.strip() for value in line.split(",")]
    return dict(zip(fields, values, strict=True)) if len(values) == len(fields) else {}
