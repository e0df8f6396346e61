"""Wheel and sdist: what is in them, and that they work where the repository is not."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("export", "engines", "runtime", "benchmarks")


def _run(*command: str | Path, cwd: Path) -> str:
    # No BRIGES_*, PYTHONPATH or the like of the calling shell may help.
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR")}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sdist of the repository, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


def _environment(folder: Path, distribution: Path, extra: str = "") -> Path:
    """The bin folder of a new environment with ``distribution``, what its base needs, and ``extra`` such as "[cpu]"."""
    venv.create(folder, with_pip=True)
    constraints = ROOT / "constraints.txt"
    wanted = f"{distribution}{extra}"
    _run(folder / "bin" / "pip", "install", "--quiet", "--constraint", constraints, wanted, cwd=folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel."""
    return _environment(tmp_path_factory.mktemp("wheel"), next(dist.glob("*.whl")))


def test_the_wheel_holds_every_module_and_data_file(dist: Path) -> None:
    names = set(zipfile.ZipFile(next(dist.glob("*.whl"))).namelist())
    for package in PACKAGES:
        for file in (ROOT / package).glob("*.py"):
            assert f"briges/{package}/{file.name}" in names
        assert f"briges/{package}/py.typed" in names
    assert {f"briges/runtime/photographs/{name}.jpg" for name in ("astronaut", "coffee")} <= names
    assert not [name for name in names if name.startswith(("tests", "export/", "runtime/"))]


def test_the_sdist_holds_what_a_build_needs(dist: Path) -> None:
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.cfg", "pyproject.toml", "README.md", "LICENSE", "runtime/photographs/coffee.jpg"} <= names


def test_an_installation_without_extras_shows_how_to_get_the_rest(installed: Path, tmp_path: Path) -> None:
    text = _run(installed / "briges", "--help", cwd=tmp_path)
    commands, _, absent = text.partition("Not installed here")
    assert "pip install 'briges-trt[export]'" in absent
    assert "pip install 'briges-trt[cpu]'" in absent
    assert "\n  export" not in commands
    assert "\n  fetch" in commands


def test_a_command_whose_extra_is_missing_names_the_line_that_installs_it(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "briges", "export", "briges-tiny"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "cure: pip install 'briges-trt[export]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_sdist_installs_and_finds_its_commands(dist: Path, tmp_path: Path) -> None:
    binaries = _environment(tmp_path / "sdist", next(dist.glob("*.tar.gz")))
    assert "fetch" in _run(binaries / "briges", "--help", cwd=tmp_path)


def test_the_bare_runtime_imports_from_another_folder(installed: Path, tmp_path: Path) -> None:
    code = "import briges.runtime as r; print(sorted(r.__all__)); print(r.__file__)"
    out = _run(installed / "python", "-c", code, cwd=tmp_path)
    assert "DepthEstimator" in out
    assert str(ROOT / "runtime") not in out


def test_the_cpu_extra_is_enough_to_run_a_bundle(dist: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    binaries = _environment(tmp_path / "cpu", next(dist.glob("*.whl")), "[cpu]")
    photograph = ROOT / "runtime" / "photographs" / "coffee.jpg"
    _run(binaries / "briges", "infer", tiny_bundle, photograph, "--out", tmp_path / "depth", cwd=tmp_path)
    assert len(list((tmp_path / "depth").iterdir())) == 3
    assert "torch" not in _run(binaries / "pip", "list", cwd=tmp_path).split()
