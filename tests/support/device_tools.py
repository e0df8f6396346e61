"""Stand-ins for the tools that tell of a GPU and set its clocks: scripts on PATH that print what was recorded of the
real ones, and keep the clocks in a file. No GPU is behind them.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from support.commands import environment
from support.fake_driver import compile_driver

# `nvidia-smi --query-gpu=clocks.sm,clocks.mem,temperature.gpu,power.draw,utilization.gpu,memory.used`, of three loops.
NVIDIA_SMI_LINES = (
    "1980, 2619, 34, 121.38, 97, 1357",
    "1965, 2619, 35, 240.10, 100, 1357",
    "1755, 2619, 36, 310.02, 99, 1361",
)
LOCKED = 'GPU clocks set to "(gpuClkMin 1980, gpuClkMax 1980)" for GPU 00000000:01:00.0\nAll done.'
FORBIDDEN = (
    "The current user does not have permission to change clocks for GPU 00000000:01:00.0.\n"
    "Terminating early due to previous errors."
)
UNSUPPORTED = (
    "Setting locked GPU clocks is not supported for GPU 00000000:01:00.0.\nTreating as warning and moving on.\n"
    "All done."
)

_BUS = """
#include <stddef.h>
#include <stdio.h>
int cuDeviceGetPCIBusId(char *text, int length, int device) {
    snprintf(text, (size_t)length, "0000:%02x:00.0", device - 39); return 0;
}
"""
_NVIDIA_SMI = """
case "$*" in
  *--loop-ms=*) echo $$ > {folder}/pid; cat {folder}/lines; exec sleep 60 ;;
  *-lgc*) printf '%s\\n' {said}; test {locks} = 1 || exit {status}
    echo "$2 at $4" > {folder}/clocks; touch {folder}/locking; exec sleep {lock_s} ;;
  *-rgc*) touch {folder}/restoring; sleep {restore_s}; echo free > {folder}/clocks; echo All done. ;;
  *--query-gpu=*) echo {answer} ;;
  *) echo Invalid combination of input arguments.; exit 2 ;;
esac
"""
# It asks before it writes over a file, and without an answer it does not.
_JETSON_CLOCKS = """
test {root} = 1 || {{ echo "Error: Run this script($0) as a root user"; exit 1; }}
case "$1" in
  --store) test -e "$2" && exit 1; cp {folder}/clocks "$2" ;;
  --restore) touch {folder}/restoring; sleep {restore_s}; cp "$2" {folder}/clocks ;;
  *) echo highest > {folder}/clocks; touch {folder}/locking; printf '%s' {said} ;;
esac
"""


def add_tool(folder: Path, name: str, script: str) -> None:
    """Write a shell script that is the tool ``name``, into ``folder``, which is made to be on PATH elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have only ``folder`` and the system's own tools on PATH."""
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def add_nvidia_smi(
    folder: Path,
    *,
    lines: Iterable[str] = NVIDIA_SMI_LINES,
    answer: str = "1980",
    said: str = LOCKED,
    status: int = 0,
    lock_s: float = 0,
    restore_s: float = 0,
) -> None:
    """A stand-in for nvidia-smi. ``lines``: of its loop, after which it falls silent. ``answer``: to a single query.

    ``said`` and ``status``: of `-lgc`, which takes ``lock_s`` after it locked the clocks. ``folder``/clocks holds them,
    "free" at first.
    """
    script = _NVIDIA_SMI.format(
        folder=shlex.quote(str(folder)),
        said=shlex.quote(said),
        locks=int(said == LOCKED),
        status=status,
        answer=shlex.quote(answer),
        lock_s=lock_s,
        restore_s=restore_s,
    )
    add_tool(folder, "nvidia-smi", script)
    (folder / "lines").write_text("".join(f"{line}\n" for line in lines))
    (folder / "clocks").write_text("free\n")


def add_jetson_clocks(folder: Path, *, root: bool = True, said: str = "", restore_s: float = 0) -> None:
    """A stand-in for jetson_clocks. ``root``: whether its user may change clocks. ``said``: while it locks them."""
    script = _JETSON_CLOCKS.format(
        folder=shlex.quote(str(folder)), root=int(root), said=shlex.quote(said), restore_s=restore_s
    )
    add_tool(folder, "jetson_clocks", script)
    (folder / "clocks").write_text("schedutil\n")


def write_tree(root: Path, files: dict[str, str]) -> Path:
    """Write files of a machine's file system below ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def write_jetson(root: Path) -> Path:
    """What an AGX Orin with JetPack 6.2 tells of itself in files, its GPU locked, its CPU not."""
    cpu = "sys/devices/system/cpu/cpu0/cpufreq"
    return write_tree(
        root,
        {
            "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic\n",
            "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\n",
            "proc/meminfo": "MemTotal:       64309436 kB\nMemAvailable:   62000000 kB\n",
            "sys/module/nvidia/version": "540.4.0\n",
            "sys/class/devfreq/17000000.gpu/cur_freq": "1300500000\n",
            "sys/class/devfreq/17000000.gpu/min_freq": "1300500000\n",
            "sys/class/devfreq/17000000.gpu/max_freq": "1300500000\n",
            f"{cpu}/scaling_governor": "schedutil\n",
            f"{cpu}/scaling_cur_freq": "2201600\n",
            f"{cpu}/scaling_min_freq": "729600\n",
            f"{cpu}/scaling_max_freq": "2201600\n",
        },
    )


def compile_gpu_driver(folder: Path) -> Path:
    """A libcuda.so.1 of two GPUs on the PCI bus, compiled here; returns its folder, for LD_LIBRARY_PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plain").mkdir()
    plain = compile_driver(folder / "plain", version=12060, count=2)
    (folder / "bus.c").write_text(_BUS)
    sources = [str(folder / "bus.c"), "-Wl,--no-as-needed", plain]
    subprocess.run(
        ["gcc", "-shared", "-fPIC", *sources, "-o", str(folder / "libcuda.so.1")], check=True, capture_output=True
    )
    return folder


def start_python(code: str, *arguments: object, library: Path | None = None) -> subprocess.Popen[str]:
    """Start ``code`` in a new interpreter that finds libcuda in the folder ``library``."""
    variables = environment() | ({"LD_LIBRARY_PATH": str(library)} if library else {})
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=variables)


def output_of(code: str, *arguments: object, library: Path | None = None) -> str:
    """What ``code`` prints in a new interpreter, see ``start_python``, which must succeed."""
    with start_python(code, *arguments, library=library) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


def wait_until(happened: Callable[[], object]) -> None:
    """Wait until ``happened``, for ten seconds at most."""
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


def tool_pid(folder: Path) -> int:
    """The process of the nvidia-smi whose loop runs."""
    wait_until(lambda: (folder / "pid").exists() and (folder / "pid").read_text().strip())
    return int((folder / "pid").read_text())
