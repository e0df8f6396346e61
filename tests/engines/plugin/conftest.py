"""Triton decides on import whether kernels are interpreted: the variable must be there before the first import."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.plugin_library import fake_driver, harness, plugin_library


@pytest.fixture(scope="session")
def library() -> Path:
    """The plugin's library with the kernels VARIANTS."""
    return plugin_library()


@pytest.fixture(scope="session")
def launch(library: Path) -> Callable[..., tuple[list[dict[str, Any]], list[str]]]:
    """Runs steps of launch.cpp for ``plugins`` plugins; returns the driver's calls and the lines of the log."""
    program = harness("launch")

    def run(
        *steps: str, plugins: int = 1, complete: bool = True, **fake: str | int
    ) -> tuple[list[dict[str, Any]], list[str]]:
        settings = {f"FAKE_{name.upper()}": str(value) for name, value in fake.items()}
        done = subprocess.run(
            [program, library, str(plugins), *steps],
            env={**os.environ, "LD_LIBRARY_PATH": str(fake_driver(complete=complete)), **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        logged = [line.removeprefix("log 1 TemperatureScaledAttention: ") for line in lines if line.startswith("log ")]
        return [json.loads(line) for line in lines if not line.startswith("log ")], logged

    return run
