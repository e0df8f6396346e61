"""Where and with what something was measured. Names neither the host, nor its user, nor a folder."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from briges.benchmarks import devfreq, nvidia_smi, processor
from briges.benchmarks.rows import Environment
from briges.runtime.facts import read_memory
from briges.runtime.gpu import Driver, read_driver
from briges.runtime.jetson import Jetson, read_jetson

_FIELDS = ("driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.limit")
_GIT_TIMEOUT_S = 5
_COMMIT_DIGITS = 12


def read_environment(
    device_name: str | None,
    packages: Sequence[str],
    *,
    temperatures_c: Sequence[float] = (),
    tensorrt: str | None = None,
    index: int = 0,
    locked: bool = False,
    root: Path = Path("/"),
) -> Environment:
    """Look at this machine. Never raises for what is not there, and takes a fraction of a second.

    device_name: the GPU that ran it, CUDA's number ``index``; None for a CPU: then nothing is said of a GPU.
    packages: those that take part; one that is not installed is left out. temperatures_c: before and after.
    tensorrt: the version that ran it. locked: whether `--lock-clocks` holds the GPU's clocks.
    root: where the file system begins that is looked at.
    """
    jetson = read_jetson(root)
    on_gpu = device_name is not None
    driver = read_driver() if on_gpu else Driver(None, (), None)
    device = driver.devices[index] if index < len(driver.devices) else None
    # A Jetson's GPU is on no PCI bus, and what its nvidia-smi tells is partial.
    bus_id = nvidia_smi.find_bus_id(index) if on_gpu and jetson is None else None
    told = nvidia_smi.query(bus_id, _FIELDS) if bus_id else {}
    gpu_clocks = (_jetson_clocks(root) if jetson else _gpu_clocks(told, locked)) if on_gpu else None
    return Environment(
        device=device_name,
        compute_capability=device.compute_capability if device else None,
        driver=(told.get("driver_version") or _kernel_driver(root)) if on_gpu else None,
        cuda=driver.cuda,
        tensorrt=tensorrt,
        cpu=processor.read_name(root),
        cores=processor.count_cores(),
        governor=processor.read_governor(root),
        memory_bytes=read_memory(root / "proc/meminfo")[0],
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        jetson=_describe(jetson) if jetson else None,
        power_mode=jetson.power_mode if jetson else _power_limit(told),
        clocks="; ".join(part for part in (gpu_clocks, _cpu_clocks(root)) if part) or None,
        temperature_c=tuple(temperatures_c),
        versions=_versions(packages),
        tool_version=metadata.version("briges-trt"),
        commit=read_commit(Path(__file__).resolve().parent.parent),
    )


def read_commit(checkout: Path) -> str | None:
    """The commit of the git repository whose root is ``checkout``, with "-dirty" where its files were changed.

    None where it is no such root: the repository around a folder of installed packages is somebody else's.
    """
    root = _git(checkout, "rev-parse", "--show-toplevel")
    if not root or Path(root).resolve() != checkout.resolve():
        return None
    return _git(checkout, "describe", "--always", "--dirty", "--exclude=*", f"--abbrev={_COMMIT_DIGITS}")


def _git(folder: Path, *arguments: str) -> str | None:
    # What a git hook sets would have it look at another repository; and a look must not take the index's lock.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
            errors="replace",
            env=kept | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {name: version for name in packages if (version := _version(name))}
    return {"python": platform.python_version(), **found}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _describe(jetson: Jetson) -> str:
    return f"{jetson.model or 'Jetson'}, Jetson Linux {jetson.l4t or 'of unknown release'}"


def _kernel_driver(root: Path) -> str | None:
    return processor.read_text(root / "sys/module/nvidia/version").strip() or None


def _power_limit(told: dict[str, str]) -> str | None:
    watts = nvidia_smi.number(told, "power.limit")
    return None if watts is None else f"power limit {watts:g} W"


def _jetson_clocks(root: Path) -> str | None:
    found = devfreq.read_gpu_clock(root)
    return f"GPU {found}" if found else None


def _gpu_clocks(told: dict[str, str], locked: bool) -> str | None:
    clock, highest, memory = (nvidia_smi.number(told, field) for field in ("clocks.sm", "clocks.max.sm", "clocks.mem"))
    if clock is None:
        return None
    most = "" if highest is None else f" of {highest:g} at most"
    beside = "" if memory is None else f", memory {memory:g} MHz"
    return f"GPU {clock:g} MHz{most}{beside}, {'locked' if locked else 'not locked'}"


def _cpu_clocks(root: Path) -> str | None:
    clock, locked = processor.read_clock_mhz(root), processor.is_clock_locked(root)
    if clock is None:
        return None
    said = "" if locked is None else f", {'locked' if locked else 'not locked'}"
    return f"CPU {clock:.0f} MHz{said}"
