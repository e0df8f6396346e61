"""The wheel in somebody else's program: one for every machine, whole, and at home with NumPy alone."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.stub_bundle import build_stub_bundle

from briges.engines.offline_wheels import build_wheel

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"), lambda line: None)


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the wheel and NumPy, and not even pip."""
    folder = tmp_path_factory.mktemp("embedding") / "env"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run([*command, "--no-index"], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    ours = Path(np.__file__).parent.parent
    for path in (ours / "numpy", *ours.glob("numpy.libs")):
        (packages / path.name).symlink_to(path)
    return python


def run(python: Path, code: str, *arguments: object) -> str:
    """Run ``code`` elsewhere than in the repository."""
    command = [str(python), "-I", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=python.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_one_wheel_serves_every_machine(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if name.endswith(".dist-info/WHEEL")]
        assert "Root-Is-Purelib: true" in archive.read(metadata).decode()
    assert not [name for name in names if name.endswith((".so", ".pyd", ".o"))]


def test_the_wheel_holds_the_sources_of_the_plugin_and_the_compiled_image_kernels(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for pattern in ("*.cpp", "*.h", "*.S", "*.map", "plugin.yaml"):
        sources = list((ROOT / "engines" / "plugin").glob(pattern))
        assert sources, pattern
        assert {f"briges/engines/plugin/{path.name}" for path in sources} <= names
    kernels = [path for path in (ROOT / "runtime" / "kernels").iterdir() if path.suffix in (".ptx", ".json")]
    assert {"kernels.json", "grid.ptx"} <= {path.name for path in kernels}
    assert {f"briges/runtime/kernels/{path.name}" for path in kernels} <= names


def test_every_package_with_modules_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("export", "engines", "runtime", "benchmarks"):
        for path in (ROOT / package).rglob("*.py"):
            assert f"briges/{path.relative_to(ROOT).as_posix()}" in names


def test_numpy_alone_is_enough_to_import_the_runtime(python: Path) -> None:
    code = (
        "import importlib.util, sys, briges.runtime\n"
        "print([name for name in ('click', 'rich', 'cv2', 'onnxruntime') if importlib.util.find_spec(name)])\n"
        "print(briges.runtime.DepthEstimator.__name__)"
    )
    assert run(python, code).splitlines() == ["[]", "DepthEstimator"]


def test_numpy_alone_is_enough_to_verify_a_bundle(python: Path, tmp_path: Path) -> None:
    code = "import pathlib, sys; from briges.runtime.manifest import read_manifest\n"
    code += "print(read_manifest(pathlib.Path(sys.argv[1])).flavour)"
    assert run(python, code, build_stub_bundle(tmp_path)) == "onnxruntime"


def test_what_needs_more_names_what_to_install(python: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from briges.runtime import DepthEstimator\n"
        "from briges.runtime.errors import MissingExtraError\n"
        "try:\n    DepthEstimator(sys.argv[1])\nexcept MissingExtraError as error:\n    print(error.cure)"
    )
    assert run(python, code, build_stub_bundle(tmp_path)) == "pip install 'briges-trt[cpu]'"


def test_the_command_without_its_packages_says_what_to_install(python: Path) -> None:
    done = subprocess.run([python.parent / "briges", "doctor"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: briges: not installed: click, rich\n")
    assert done.stderr.endswith("cure: pip install click rich\n")
