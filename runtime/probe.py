"""Whether a package can really be imported, tried in a process of its own: a broken one may end the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

_TIMEOUT_S = 120  # torch, from a cold SD card
_ABSENT = 64
_IMPORT = f"""
import importlib, sys
from importlib import metadata
if sys.path[0] == "":
    del sys.path[0]  # a folder of that name where the user stands is not the package
name = sys.argv[1]
try:
    module = importlib.import_module(name)
except ModuleNotFoundError as error:
    sys.exit({_ABSENT}) if error.name == name else sys.exit(f"{{type(error).__name__}}: {{error}}")
print(getattr(module, "__version__", None) or metadata.version(name))
"""


@dataclass(frozen=True)
class Package:
    """``version``: None if it cannot be used; ``problem`` then says why, None where it is not installed at all."""

    version: str | None
    problem: str | None


def probe(modules: Iterable[str]) -> dict[str, Package]:
    """Import each of the top-level ``modules`` in a child process, some at a time."""
    names = list(modules)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return dict(zip(names, pool.map(_probe, names), strict=True))


def signal_name(number: int) -> str:
    """What ended a process: "SIGKILL", or "signal 40" for one without a name."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def _probe(module: str) -> Package:
    command = [sys.executable, "-c", _IMPORT, module]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return Package(None, f"importing it takes longer than {_TIMEOUT_S} s")
    if done.returncode == 0:
        return Package(done.stdout.strip().splitlines()[-1], None)
    if done.returncode == _ABSENT:
        return Package(None, None)
    if done.returncode < 0:
        return Package(None, f"importing it crashes with {signal_name(-done.returncode)}")
    lines = done.stderr.strip().splitlines()
    return Package(None, lines[-1] if lines else f"importing it ends with exit code {done.returncode}")
