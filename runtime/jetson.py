"""What a Jetson says of itself: its Jetson Linux release (L4T), model and power mode, and what that release brings."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from briges.runtime.versions import parse_version

_NVPMODEL_TIMEOUT_S = 5


@dataclass(frozen=True)
class Jetson:
    """None: not known. ``l4t``: such as "36.4.3"."""

    model: str | None
    l4t: str | None
    power_mode: str | None


@dataclass(frozen=True)
class JetPack:
    """What NVIDIA ships for a Jetson Linux release. ``update``: the release is newer than the one in the table."""

    l4t: str
    version: str
    tensorrt: str
    update: bool = False

    def __str__(self) -> str:
        return f"JetPack {self.version}{' or an update of it' if self.update else ''}"


# NVIDIA's JetPack archive, https://developer.nvidia.com/embedded/jetpack-archive, oldest first.
JETPACKS = (
    JetPack("35.2", "5.1", "8.5.2"),
    JetPack("36.3", "6.0", "8.6.2"),
    JetPack("36.4", "6.1", "10.3.0"),
    JetPack("36.4.3", "6.2", "10.3.0"),
    JetPack("36.4.4", "6.2.1", "10.3.0"),
    JetPack("36.5", "6.2.2", "10.3.0"),
    JetPack("38.2", "7.0", "10.13.3"),
    JetPack("38.4", "7.1", "10.13.3"),
    JetPack("39.2", "7.2", "10.16.2"),
    JetPack("39.2.1", "7.2.1", "10.16.2"),
)
# The first with Python 3.10 and TensorRT 10.
OLDEST_SUPPORTED = "36.4"


def read_jetson(root: Path = Path("/")) -> Jetson | None:
    """Read what identifies a Jetson; None on any other machine. ``root``: where its file system begins."""
    l4t = _read_release(root / "etc/nv_tegra_release") or _read_package(root / "var/lib/dpkg/status")
    # A container has the host's device tree, but often not its /etc.
    if l4t is None and "nvidia,tegra" not in _read(root / "proc/device-tree/compatible"):
        return None
    return Jetson(_read(root / "proc/device-tree/model").strip("\0\n ") or None, l4t, _read_power_mode())


def jetpack_of(l4t: str) -> JetPack | None:
    """What to expect of a Jetson Linux release; None for one older or of a later generation than we know."""
    release = parse_version(l4t)
    for known in reversed(JETPACKS):
        listed = parse_version(known.l4t)
        if release[0] == listed[0] and release >= listed:
            return replace(known, update=any(release[len(listed) :]) or release[: len(listed)] != listed)
    return None


def is_supported_release(l4t: str) -> bool:
    """Whether the release has the Python and the TensorRT that we need."""
    return parse_version(l4t) >= parse_version(OLDEST_SUPPORTED)


def _read_release(path: Path) -> str | None:
    # "# R36 (release), REVISION: 4.3, GCID: ..., BOARD: generic, EABI: aarch64, DATE: ..."
    found = re.search(r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)", _read(path))
    return f"{found[1]}.{found[2]}" if found else None


def _read_package(path: Path) -> str | None:
    # Paragraphs of "Field: value" lines; the version is such as 36.4.3-20250107174145.
    for paragraph in _read(path).split("\n\n"):
        if paragraph.startswith("Package: nvidia-l4t-core\n"):
            found = re.search(r"^Version: (\d+(?:\.\d+)*)", paragraph, re.MULTILINE)
            return found[1] if found else None
    return None


def _read_power_mode() -> str | None:
    command = shutil.which("nvpmodel")
    if command is None:
        return None
    try:
        done = subprocess.run(
            [command, "-q"], capture_output=True, text=True, timeout=_NVPMODEL_TIMEOUT_S, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"NV Power Mode: *(\S+)", done.stdout)
    return found[1] if found else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
