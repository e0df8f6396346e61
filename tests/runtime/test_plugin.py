"""The plugin's library is native code: only the file its record names, for this processor, is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from briges.engines.plugin.record import LIBRARY_FILE
from briges.runtime import contracts, plugin
from briges.runtime.errors import BackendError
from briges.runtime.files import sha256_of
from briges.runtime.plugin import register_plugin

_MACHINE_AT = 18  # in an ELF header
_AARCH64, _RISCV = 183, 243


class Registry:
    """What a registry of TensorRT's answers; the real one cannot forget a library."""

    def __init__(self, *, finds: bool = True) -> None:
        self.loaded: list[str] = []
        self.finds = finds

    @property
    def all_creators(self) -> list[SimpleNamespace]:
        ours = {"plugin_version": contracts.PLUGIN_VERSION, "plugin_namespace": contracts.PLUGIN_NAMESPACE}
        other = SimpleNamespace(name="Other", **ours)
        return [other, *([SimpleNamespace(name=contracts.PLUGIN_NAME, **ours)] if self.loaded and self.finds else [])]

    def load_library(self, path: str) -> None:
        self.loaded.append(path)


class OldRegistry:
    """That of the bindings of TensorRT 10.3, which cannot list its creators."""

    def __init__(self, **options: bool) -> None:
        self.new = Registry(**options)
        self.load_library, self.loaded = self.new.load_library, self.new.loaded

    def get_creator(self, name: str, version: str, namespace: str) -> object | None:
        wanted = (name, version, namespace)
        creators = self.new.all_creators
        return next((c for c in creators if (c.name, c.plugin_version, c.plugin_namespace) == wanted), None)


class TensorRT:
    __name__, __version__ = "tensorrt", "10.3.0"

    def __init__(self, registry: type = Registry, **options: bool) -> None:
        self.registry = registry(**options)

    def get_plugin_registry(self) -> Any:
        return self.registry


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was loaded yet."""
    monkeypatch.setattr(plugin, "_LOADED", {})


@pytest.fixture
def library(plugin_folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / LIBRARY_FILE
    path.write_bytes((plugin_folder / LIBRARY_FILE).read_bytes())
    return path


def refusal(path: Path, sha256: str | None = None, **options: bool) -> BackendError:
    trt = TensorRT(**options)
    with pytest.raises(BackendError) as caught:
        register_plugin(trt, path, sha256 or sha256_of(path))
    assert "make plugin" in caught.value.cure
    assert caught.value.subject == f"plugin library {path}"
    assert trt.registry.loaded == [] or options
    return caught.value


def patched(path: Path, offset: int, content: bytes) -> Path:
    old = path.read_bytes()
    path.write_bytes(old[:offset] + content + old[offset + len(content) :])
    return path


def compiled(source: str, folder: Path) -> Path:
    path = folder / "other.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-xc", "-", "-o", path], input=source, text=True, check=True)
    return path


@pytest.mark.parametrize("registry", [Registry, OldRegistry])
def test_the_right_library_is_loaded_once(library, tmp_path, monkeypatch, registry):
    trt = TensorRT(registry)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        register_plugin(trt, Path(LIBRARY_FILE), sha256_of(library))
    assert trt.registry.loaded == [str(library)], "the linker takes a name without a slash for one of the system's"


def test_another_library_of_the_same_name_is_refused_in_one_process(library, tmp_path):
    trt = TensorRT()
    register_plugin(trt, library, first := sha256_of(library))
    other = tmp_path / "other.so"
    other.write_bytes(library.read_bytes() + b"\0")
    with pytest.raises(BackendError, match=f"another TemperatureScaledAttention already, of sha256 {first[:12]}"):
        register_plugin(trt, other, sha256_of(other))
    with pytest.raises(BackendError, match="has sha256"):
        register_plugin(trt, library, "0" * 64)
    assert trt.registry.loaded == [str(library)]


def test_a_plugin_that_somebody_else_registered_is_not_taken_for_ours(library):
    trt = TensorRT()
    trt.registry.loaded.append("elsewhere")
    with pytest.raises(BackendError, match="which we did not load"):
        register_plugin(trt, library, sha256_of(library))


def test_the_real_registry_knows_the_creator_afterwards(library):
    code = (
        "import sys, pathlib, tensorrt_rtx as trt; from briges.runtime.plugin import register_plugin;"
        "logger = trt.Logger();"
        "register_plugin(trt, pathlib.Path(sys.argv[1]), sys.argv[2]);"
        f"print(trt.get_plugin_registry().get_creator('{contracts.PLUGIN_NAME}', '1', 'briges').name)"
    )
    command = [sys.executable, "-c", code, library, sha256_of(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert done.stdout.strip() == contracts.PLUGIN_NAME, done.stderr


def test_another_file_is_not_opened(library):
    error = refusal(library, "0" * 64)
    assert error.came == f"has sha256 {sha256_of(library)[:12]}…, recorded was 000000000000…"


def test_a_file_that_is_gone_is_named(tmp_path):
    assert refusal(tmp_path / "no.so", "0" * 64).came == "cannot be read: No such file or directory"


@pytest.mark.parametrize(("machine", "came"), [(_AARCH64, "is for aarch64 processors"), (_RISCV, "is no library")])
def test_a_library_for_another_processor_is_told_from_its_header(library, machine, came):
    assert refusal(patched(library, _MACHINE_AT, machine.to_bytes(2, "little"))).came.startswith(came)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n" * 10])
def test_what_is_no_library_is_refused(library, content):
    library.write_bytes(content)
    assert refusal(library).came == "is no library for Linux"


def test_half_a_library_is_told_by_its_hash_before_the_linker_sees_it(library):
    whole = sha256_of(library)
    os.truncate(library, 4096)
    assert refusal(library, whole).came.startswith("has sha256 ")


def test_a_library_that_needs_what_is_not_here_is_refused_in_the_linkers_words(tmp_path):
    path = compiled("int missing(void); int getCreators(void) { return missing(); }", tmp_path)
    assert refusal(path).came.startswith(f"cannot be loaded: {path}: undefined symbol: missing")


@pytest.mark.parametrize("symbol", ["getCreators", "setLoggerFinder"])
def test_a_missing_symbol_is_named(tmp_path, symbol):
    (other,) = {"getCreators", "setLoggerFinder"} - {symbol}
    path = compiled(f"void {other}(void) {{}}", tmp_path)
    assert refusal(path).came == f"exports no {symbol}"


def test_a_library_in_which_tensorrt_finds_no_creator_is_refused(library):
    error = refusal(library, finds=False)
    assert error.came == "tensorrt 10.3.0 finds no creator briges::TemperatureScaledAttention in it"
