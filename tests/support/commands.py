"""Runs `briges` as users do, in a process of its own; also with libraries missing, and with commands of our own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

MAIN = "from briges.runtime.main import main; main()"

_HIDING = """
import sys
from importlib.machinery import PathFinder


class HidingFinder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {hidden!r} else super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = HidingFinder
"""


def hide_modules(folder: Path, modules: Iterable[str]) -> Path:
    """Make ``folder``, which on PYTHONPATH has Python behave as if ``modules`` were not installed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(_HIDING.format(hidden=set(modules)))
    return folder


def add_commands(folder: Path, code: str, names: Iterable[str]) -> Path:
    """Make ``folder``, which on PYTHONPATH is an installed distribution that adds commands to `briges`.

    ``names`` are the commands, and the functions of that name in ``code``.
    """
    metadata = folder / "our_tests-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: our-tests\nVersion: 1.0\n")
    points = "".join(f"{name} = our_tests:{name}\n" for name in names)
    (metadata / "entry_points.txt").write_text(f"[briges.commands]\n{points}")
    (folder / "our_tests.py").write_text(code)
    return folder


def environment(*path: Path) -> dict[str, str]:
    """The environment of a child with ``path`` in front, and without the terminal's width and colours."""
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR", "NO_COLOR")}
    return kept | {"PYTHONPATH": os.pathsep.join(map(str, path))}


def run_python(
    code: str, *arguments: object, path: Iterable[Path] = (), timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a new interpreter, for ``timeout`` seconds at most."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=environment(*path), errors="replace"
    )


def run_briges(*arguments: object, path: Iterable[Path] = ()) -> subprocess.CompletedProcess[str]:
    """Run `briges ARGUMENTS`."""
    return run_python(MAIN, *arguments, path=path)
