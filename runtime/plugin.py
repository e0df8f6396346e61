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
_REMAKE = "build it on this machine with `make plugin` or `briges plugin`, then build the engine again"


def register_plugin(tensorrt: Any, library: Path, sha256: str) -> None:
    """Make the plugin known to TensorRT in this process. Does nothing if it is known already.

    tensorrt: the module ``tensorrt`` or ``tensorrt_rtx``. sha256: of the file, as its record has it.
    Raises BackendError for another file, one for another processor, or one that is no plugin library of ours.
    """
    registry = tensorrt.get_plugin_registry()
    if _known(registry):
        return
    _check(library, sha256)
    registry.load_library(str(library.resolve()))
    if not _known(registry):
        raise _unusable(
            library,
            f"{tensorrt.__name__} {tensorrt.__version__} finds no creator {PLUGIN_NAMESPACE}::{PLUGIN_NAME} in it",
            f"the plugin's version {PLUGIN_VERSION}",
        )


def _known(registry: Any) -> bool:
    return registry.get_creator(PLUGIN_NAME, PLUGIN_VERSION, PLUGIN_NAMESPACE) is not None


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
