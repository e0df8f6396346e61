"""What is true of this machine and matters to us: its size, its packages, its driver, its JetPack."""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from briges.runtime.compatibility import this_platform
from briges.runtime.errors import MissingExtraError
from briges.runtime.gpu import Driver, read_driver
from briges.runtime.jetson import Jetson, read_jetson
from briges.runtime.manifest import Host
from briges.runtime.probe import Package, probe
from briges.runtime.toolchain import find_toolchain

EXPORT_MODULES = ("torch", "onnx", "onnxscript", "safetensors", "onnxruntime", "cv2", "PIL")
# Of each engine's build; without the last its gate cannot run an engine.
BUILD_MODULES = ("onnx", "onnxruntime", "filelock", "cv2", "PIL", "polygraphy")
ENGINE_MODULES = ("tensorrt", "tensorrt_rtx")
MODULES = tuple(dict.fromkeys((*EXPORT_MODULES, *BUILD_MODULES, *ENGINE_MODULES)))
_CUDA_PACKAGES = ("cuda-bindings", "cuda-python", "pycuda")


@dataclass(frozen=True)
class PluginTools:
    """What compiles the attention plugin: for people, or None, and then what is ``missing`` and its ``cure``.

    ``triton``: the version of what compiles its kernels.
    """

    compiler: str | None
    missing: str | None
    cure: str | None
    triton: str | None


@dataclass(frozen=True)
class Facts:
    """None: not known. ``packages``: by module. ``cuda_packages``: the versions of Python's ways to GPU memory."""

    tool_version: str
    python: str
    platform: str
    cores: int
    memory_bytes: int | None
    memory_free_bytes: int | None
    disk_free_bytes: int
    packages: dict[str, Package]
    cuda_packages: dict[str, str]
    driver: Driver
    jetson: Jetson | None
    plugin: PluginTools


def collect_facts(folder: Path = Path()) -> Facts:
    """Look at this machine, which takes as long as importing every package. ``folder``: on the disk in question."""
    memory, memory_free = read_memory()
    return Facts(
        tool_version=metadata.version("briges-trt"),
        python=platform.python_version(),
        platform=this_platform(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=memory,
        memory_free_bytes=memory_free,
        disk_free_bytes=shutil.disk_usage(folder).free,
        packages=probe(MODULES),
        cuda_packages=_cuda_packages(),
        driver=read_driver(),
        jetson=read_jetson(),
        plugin=_plugin_tools(),
    )


def read_host() -> Host:
    """What the manifest of a bundle built here records of this machine."""
    driver, jetson = read_driver(), read_jetson()
    device = driver.devices[0].name if driver.devices else None
    return Host(this_platform(), device, driver.cuda, jetson.l4t if jetson else None)


def read_memory(meminfo: Path = Path("/proc/meminfo")) -> tuple[int | None, int | None]:
    """Bytes of memory there are, and that programs can still have; None where the system does not say."""
    try:
        text = meminfo.read_text(encoding="ascii")
    except OSError:
        return None, None
    kibibytes = {name: int(number) for name, number in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}
    total, free = kibibytes.get("MemTotal"), kibibytes.get("MemAvailable")
    return total and total << 10, free and free << 10


def _cuda_packages() -> dict[str, str]:
    return {name: version for name in _CUDA_PACKAGES if (version := _version(name))}


def _plugin_tools() -> PluginTools:
    triton = _version("triton")
    try:
        found = find_toolchain()
    except MissingExtraError as error:
        return PluginTools(None, f"{error.subject}: {error.came}", error.cure, triton)
    compiler = f"{Path(found.compiler[-1]).name}, headers of TensorRT {found.tensorrt_version}"
    return PluginTools(compiler, None, None, triton)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
