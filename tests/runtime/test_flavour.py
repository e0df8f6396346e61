"""The libraries behind the flavours: found, missing, broken, too old; and the one place that imports TensorRT."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import onnxruntime
import pytest
import tensorrt_rtx
from support.commands import hide_modules, run_python

from briges.runtime.errors import BackendError, MissingExtraError
from briges.runtime.flavour import LIBRARIES, library_version, load, network_flags

ROOT = Path(__file__).resolve().parents[2]
ASK = "from briges.runtime.flavour import library_version, load; "


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Makes a module `tensorrt` of the given source: its versions 8 and 12, and broken ones, are not to be had here."""
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda source: (tmp_path / "tensorrt.py").write_text(source) and None
    sys.modules.pop("tensorrt", None)


def test_the_installed_libraries_are_loaded_and_tell_their_version():
    assert load("tensorrt-rtx") is tensorrt_rtx
    assert library_version("tensorrt-rtx") == tensorrt_rtx.__version__
    assert load("onnxruntime") is onnxruntime
    assert library_version("onnxruntime") == onnxruntime.__version__


@pytest.mark.parametrize("flavour", LIBRARIES)
def test_a_missing_library_has_no_version_and_is_answered_with_the_line_that_installs_it(tmp_path, flavour):
    library = LIBRARIES[flavour]
    path = [hide_modules(tmp_path / "hiding", [library.module])]
    assert run_python(f"{ASK}print(library_version({flavour!r}))", path=path).stdout == "None\n"
    error = run_python(f"{ASK}load({flavour!r})", path=path).stderr
    assert f"MissingExtraError: flavour {flavour}: the Python module {library.module} is not installed" in error
    assert f"cure: pip install 'briges-trt[{library.extra}]'" in error
    assert ("--system-site-packages" in error) == (flavour == "tensorrt")


@pytest.mark.parametrize("version", ["10.0.1", "10.3.0", "10.16.1.11", "11.4.0.106"])
def test_tensorrt_10_and_11_are_accepted(stand_in, version):
    stand_in(f"__version__ = {version!r}")
    assert load("tensorrt").__version__ == version
    assert library_version("tensorrt") == version


@pytest.mark.parametrize("version", ["8.5.2", "8.6.2", "9.3.0"])
def test_a_tensorrt_too_old_is_refused_with_the_jetpack_that_has_a_newer_one(stand_in, version):
    stand_in(f"__version__ = {version!r}")
    with pytest.raises(BackendError) as caught:
        load("tensorrt")
    assert caught.value.came == f"version {version} of tensorrt"
    assert caught.value.expected == "version 10.x or 11.x"
    assert caught.value.cure.startswith("upgrade to JetPack 6.1 or later")
    assert library_version("tensorrt") == version  # which `briges doctor` shows


@pytest.mark.parametrize("version", ["12.0.0", "110.1", "dev"])
def test_a_tensorrt_that_this_code_does_not_know_is_refused(stand_in, version):
    stand_in(f"__version__ = {version!r}")
    with pytest.raises(BackendError, match=r"expected: version 10\.x or 11\.x") as caught:
        load("tensorrt")
    assert "JetPack 6.1" not in caught.value.cure


@pytest.mark.parametrize(
    "source",
    [
        "raise OSError('libnvinfer.so.10: cannot open shared object file')",
        "raise RuntimeError('no libnvinfer.so.10 for you')",
        "import libnvinfer_so_10_bindings",
        "libnvinfer_so_10 = 'a package without a version'",
    ],
)
def test_a_broken_installation_is_told_from_a_missing_one(stand_in, source):
    stand_in(source)
    assert library_version("tensorrt") is None
    with pytest.raises(BackendError, match=r"tensorrt is installed and cannot be loaded: .*") as caught:
        load("tensorrt")
    assert caught.value.cure.startswith("install it again: pip install 'briges-trt[tensorrt]'")
    assert not isinstance(caught.value, MissingExtraError)


def test_a_network_keeps_the_types_of_its_graph_wherever_there_is_a_choice():
    flags = network_flags(tensorrt_rtx)
    assert flags == 1 << int(tensorrt_rtx.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = tensorrt_rtx.Builder(tensorrt_rtx.Logger()).create_network(flags)
    assert network.get_flag(tensorrt_rtx.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    assert network_flags(SimpleNamespace(NetworkDefinitionCreationFlag=object())) == 0


def test_nothing_but_this_module_imports_tensorrt():
    for package in ("export", "engines", "runtime", "benchmarks"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not any(name.split(".")[0].startswith("tensorrt") for name in named), file
