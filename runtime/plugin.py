"""Loads the attention plugin's library into TensorRT: native code, so only the very file its record names."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path
from typing import Any

from briges.runtime.contracts import PLUGIN_NAME, PLUGIN_NAMESPACE, PLUGIN_VERSION
from briges.runtime.errors import BackendError
from briges.runtime.files import sha256_of

# The field e_machine of an ELF header: which processor the code is for.
_ELF_MACHINES = {62: "x86_64", 183: "aarch64"}
_ELF_MACHINE_AT = 18
# What TensorRT looks for in a plugin library.
_SYMBOLS = ("getCreators", "setLoggerFinder")
# TensorRT's module -> hash of the library it was given; a registry cannot forget one.
_LOADED: dict[str, str] = {}
_REMAKE = "build it on this machine with `make plugin` or `briges plugin`, then build the engine again"


def register_plugin(tensorrt: Any, library: Path, sha256: str) -> None:
    """Make the plugin known to TensorRT in this process; one that is loaded already, of that hash, stays.

    tensorrt: the module ``tensorrt`` or ``tensorrt_rtx``. sha256: of the file, as its record has it.
    Raises BackendError for another file, one for another processor, one that is no plugin library of ours, or where
    this process has another plugin of that name already: TensorRT cannot tell the two apart.
    """
    _check(library, sha256)
    registry = tensorrt.get_plugin_registry()
    if (loaded := _LOADED.get(tensorrt.__name__)) == sha256:
        return
    if loaded is not None or _known(registry):
        raise BackendError(
            subject=f"plugin library {library}",
            came=f"this process has another {PLUGIN_NAME} already"
            + (f", of sha256 {loaded[:12]}…" if loaded else ", which we did not load"),
            expected="one plugin library in one process",
            cure="open bundles with different libraries in processes of their own, or build them with the same one",
        )
    registry.load_library(str(library.resolve()))
    if not _known(registry):
        raise _unusable(
            library,
            f"{tensorrt.__name__} {tensorrt.__version__} finds no creator {PLUGIN_NAMESPACE}::{PLUGIN_NAME} in it",
            f"the plugin's version {PLUGIN_VERSION}",
        )
    _LOADED[tensorrt.__name__] = sha256


def _known(registry: Any) -> bool:
    wanted = (PLUGIN_NAME, PLUGIN_VERSION, PLUGIN_NAMESPACE)
    if not hasattr(registry, "all_creators"):  # the bindings of TensorRT 10.0 to 10.5
        return registry.get_creator(*wanted) is not None
    # get_creator would put an error into TensorRT's log for a plugin it does not find.
    return any((item.name, item.plugin_version, item.plugin_namespace) == wanted for item in registry.all_creators)


def _check(library: Path, sha256: str) -> None:
    """Everything that TensorRT would only put into its log, or not notice."""
    try:
        found = sha256_of(library)
        header = library.read_bytes()[: _ELF_MACHINE_AT + 2]
    except OSError as error:
        raise _unusable(library, f"cannot be read: {error.strerror}", "a readable file") from error
    if found != sha256:
        raise _unusable(library, f"has sha256 {found[:12]}…, recorded was {sha256[:12]}…", "the file as it was built")
    number = int.from_bytes(header[_ELF_MACHINE_AT:], "little")
    machine = _ELF_MACHINES.get(number) if header[:4] == b"\x7fELF" else None
    if machine != platform.machine():
        raise _unusable(
            library,
            f"is for {machine} processors" if machine else "is no library for Linux",
            f"one for {platform.machine()}",
        )
    try:
        loaded = ctypes.CDLL(str(library.resolve()))
    except OSError as error:
        raise _unusable(library, f"cannot be loaded: {error}", "a library whose own needs are met") from error
    if missing := [name for name in _SYMBOLS if not hasattr(loaded, name)]:
        raise _unusable(library, f"exports no {' and no '.join(missing)}", "a TensorRT plugin library")


def _unusable(library: Path, came: str, expected: str) -> BackendError:
    return BackendError(subject=f"plugin library {library}", came=came, expected=expected, cure=_REMAKE)
