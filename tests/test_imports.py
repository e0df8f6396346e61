"""The architecture, held: who may import whom, what an import may cost, and how long a file may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("export", "engines", "runtime", "benchmarks")
MAY_IMPORT = {
    "runtime": set[str](),
    "export": {"runtime", "engines.plugin", "engines.lowering", "engines.onnx_graph"},  # the operator it writes
    "engines": {"runtime"},
    "benchmarks": {"runtime", "export", "engines"},
}
MAX_LINES = 300


def _python_files() -> list[Path]:
    return sorted(file for package in (*PACKAGES, "tests") for file in (ROOT / package).rglob("*.py"))


def _imported_modules(file: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            modules.add(node.module or "")
    return modules


def _child(code: str) -> str:
    # Elsewhere than the repository root, where `import runtime` would find the bare folder.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_the_packages_below_it(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        for module in _imported_modules(file):
            assert module.partition(".")[0] not in PACKAGES, f"{file} imports the bare folder {module}"
            if module.startswith("briges."):
                allowed = tuple(f"briges.{name}" for name in {package} | MAY_IMPORT[package])
                inside = any(module == name or module.startswith(f"{name}.") for name in allowed)
                assert inside, f"{file} must not import {module}"


def test_only_export_and_benchmarks_import_torch() -> None:
    for package in ("runtime", "engines"):
        for file in (ROOT / package).rglob("*.py"):
            assert "torch" not in {module.partition(".")[0] for module in _imported_modules(file)}, file


def test_importing_the_runtime_loads_numpy_and_nothing_heavier() -> None:
    heavy = [
        "torch",
        "onnx",
        "onnxruntime",
        "tensorrt",
        "tensorrt_rtx",
        "cuda",
        "pycuda",
        "click",
        "rich",
        "cv2",
        "PIL",
        "polygraphy",
    ]
    code = f"import sys, briges.runtime; print([name for name in {heavy} if name in sys.modules])"
    assert _child(code).strip() == "[]"


def test_listing_the_commands_loads_click_and_nothing_heavier() -> None:
    heavy = ["torch", "onnx", "onnxruntime", "cv2", "PIL", "rich", "safetensors"]
    code = (
        "import sys\nfrom briges.runtime.main import cli\n"
        "cli.main(['--help'], standalone_mode=False)\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert _child(code).strip().endswith("[]")


def test_every_module_can_be_imported() -> None:
    names = [
        f"briges.{'.'.join(file.relative_to(ROOT).with_suffix('').parts)}"
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        if file.stem != "__init__" and not file.stem.endswith("_kernel")  # these import Triton
    ]
    assert len(names) > 30
    _child("import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in names))


def test_no_file_is_longer_than_the_budget() -> None:
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in _python_files()}
    assert not {str(file): length for file, length in lengths.items() if length > MAX_LINES}
