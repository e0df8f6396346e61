"""The libraries that build and run engines, and what differs between their versions: nothing else imports TensorRT."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from briges.runtime.errors import BackendError, MissingExtraError
from briges.runtime.manifest import Flavour


@dataclass(frozen=True)
class Library:
    """What a flavour needs: the module, the extra that brings it, and the major versions our code is written for."""

    module: str
    extra: str
    majors: tuple[int, ...]


LIBRARIES: dict[Flavour, Library] = {
    "onnxruntime": Library("onnxruntime", "cpu", (1,)),
    "tensorrt": Library("tensorrt", "tensorrt", (10, 11)),
    "tensorrt-rtx": Library("tensorrt_rtx", "rtx", (1,)),
}

# On a Jetson the system owns TensorRT, which a plain virtual environment does not see.
_ON_JETSON = "on a Jetson, whose system brings TensorRT, `python3 -m venv --system-site-packages` instead"


def library_version(flavour: Flavour) -> str | None:
    """The version of the flavour's library here; None where it is not installed or cannot be loaded. Never raises.

    The module is asked, not the package's metadata: JetPack's TensorRT is no Python package of pip's.
    """
    try:
        return str(importlib.import_module(LIBRARIES[flavour].module).__version__)
    except Exception:  # a broken installation raises whatever its loader raises: OSError, RuntimeError, AttributeError
        return None


def load(flavour: Flavour) -> Any:
    """Import the flavour's library and return its module.

    Raises MissingExtraError if it is not installed, BackendError if it cannot be loaded or has a version that this code
    was not written for.
    """
    library = LIBRARIES[flavour]
    cure = f"pip install 'briges-trt[{library.extra}]'"
    if flavour == "tensorrt":
        cure = f"{cure}; {_ON_JETSON}"
    try:
        module = importlib.import_module(library.module)
        version = str(module.__version__)
    except ModuleNotFoundError as error:
        if error.name != library.module:
            raise _broken(flavour, error, cure) from error
        raise MissingExtraError(
            subject=f"flavour {flavour}",
            came=f"the Python module {library.module} is not installed",
            expected=f"the extra [{library.extra}]",
            cure=cure,
        ) from error
    except Exception as error:
        raise _broken(flavour, error, cure) from error
    _require_supported(flavour, version, cure)
    return module


def _broken(flavour: Flavour, error: Exception, cure: str) -> BackendError:
    return BackendError(
        subject=f"flavour {flavour}",
        came=f"{LIBRARIES[flavour].module} is installed and cannot be loaded: {error}",
        expected="a complete installation",
        cure=f"install it again: {cure}",
    )


def _require_supported(flavour: Flavour, version: str, cure: str) -> None:
    major = version.partition(".")[0]
    majors = LIBRARIES[flavour].majors
    if major in map(str, majors):
        return
    if flavour == "tensorrt" and major.isdecimal() and int(major) < min(majors):
        cure = f"upgrade to JetPack 6.1 or later, which brings TensorRT 10; elsewhere: {cure}"
    raise BackendError(
        subject=f"flavour {flavour}",
        came=f"version {version} of {LIBRARIES[flavour].module}",
        expected=f"version {' or '.join(f'{number}.x' for number in majors)}",
        cure=cure,
    )


def network_flags(tensorrt: Any) -> int:
    """Creation flags of a network whose types are those of its ONNX graph.

    TensorRT 10 would choose precisions by itself without the flag; 11 and RTX know nothing else and accept it.
    """
    flag = getattr(tensorrt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)
