from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from briges.runtime import probe as module
from briges.runtime.probe import Package, probe


def add_module(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have a module `somebodys_package` in the child's path."""
    (folder / "somebodys_package.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_a_package_that_works_gives_its_version() -> None:
    assert probe(["numpy"]) == {"numpy": Package(np.__version__, None)}


def test_a_package_that_is_not_there_has_no_problem() -> None:
    assert probe(["no_such_package", "numpy"])["no_such_package"] == Package(None, None)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise OSError('libnvinfer.so.10: cannot open')", "OSError: libnvinfer.so.10: cannot open"),
        ("import no_such_dependency", "ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGABRT)", "importing it crashes with SIGABRT"),
        ("import os; os._exit(3)", "importing it ends with exit code 3"),
    ],
)
def test_a_broken_package_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, problem: str) -> None:
    add_module(tmp_path, monkeypatch, code)

    assert probe(["somebodys_package"]) == {"somebodys_package": Package(None, problem)}


def test_what_a_package_prints_is_not_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_module(tmp_path, monkeypatch, "__version__ = '2.5'\nprint('welcome')")

    assert probe(["somebodys_package"])["somebodys_package"].version == "2.5"


def test_a_package_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_module(tmp_path, monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.5)

    assert probe(["somebodys_package"])["somebodys_package"].problem == "importing it takes longer than 0.5 s"


def test_a_folder_where_the_user_stands_is_not_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no_such_package").mkdir()
    monkeypatch.chdir(tmp_path)

    assert probe(["no_such_package"]) == {"no_such_package": Package(None, None)}
