"""What compiles the plugin here: a C++ compiler, TensorRT's headers and CUDA's, of the system or of Python packages."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from briges.runtime.errors import MissingExtraError

_MULTIARCH = f"{platform.machine()}-linux-gnu"
# The SDK's own first: a device must be served by the headers of the TensorRT it has.
_TENSORRT_FOLDERS = (
    f"/usr/include/{_MULTIARCH}",
    "/usr/include",
    "/usr/local/tensorrt/include",
    "/opt/tensorrt/include",
)
_CUDA_FOLDERS = ("/usr/local/cuda/include", "/usr/include")
_TENSORRT_NEEDS = ("NvInfer.h", "NvInferVersion.h")
_CUDA_NEEDS = ("cuda.h", "cuda_runtime_api.h")
# TensorRT 10.0 brought the plugin interface, IPluginV3, that the library is written for.
_OLDEST_MAJOR = 10


@dataclass(frozen=True)
class Toolchain:
    """How the compiler is called, the two include folders, and the version of TensorRT the headers are of."""

    compiler: tuple[str, ...]
    tensorrt: Path
    cuda: Path
    tensorrt_version: str


def find_toolchain() -> Toolchain:
    """Look for all of it; the variables CXX, TENSORRT_INCLUDE and CUDA_INCLUDE name what lies elsewhere.

    Raises MissingExtraError for the first thing that is not here.
    """
    compiler = _compiler()
    tensorrt = _find(
        "TensorRT's headers",
        _Place("TENSORRT_INCLUDE", _TENSORRT_FOLDERS, "kernel_lens", "include/tensorrt", _TENSORRT_NEEDS),
        "the TensorRT SDK's development files (libnvinfer-dev on JetPack)",
    )
    version = _version(tensorrt)
    if int(version.partition(".")[0]) < _OLDEST_MAJOR:
        raise _missing(
            "TensorRT's headers",
            f"{tensorrt} holds those of {version}",
            "use TensorRT 10.0 or later (JetPack 6.1 or later)",
        )
    cuda = _find(
        "CUDA's headers",
        _Place("CUDA_INCLUDE", _CUDA_FOLDERS, "triton", "backends/nvidia/include", _CUDA_NEEDS),
        "the CUDA toolkit's headers",
    )
    return Toolchain(compiler, tensorrt, cuda, version)


def _compiler() -> tuple[str, ...]:
    try:
        named = shlex.split(os.environ.get("CXX", ""))  # such as "ccache g++"
    except ValueError as error:
        raise _missing(
            "a C++17 compiler", f"CXX={os.environ['CXX']} cannot be read: {error}", "set CXX to a command, such as g++"
        ) from error
    for words in [named] if named else [[name] for name in ("g++", "c++", "clang++")]:
        if found := shutil.which(words[0]):
            return (found, *words[1:])
    raise _missing(
        "a C++17 compiler",
        f"no {named[0] if named else 'g++'} in PATH",
        "install g++ (`apt install g++`), or set CXX",
    )


@dataclass(frozen=True)
class _Place:
    """Where headers may lie: the folder a variable names, or else usual ones, or one below a Python package."""

    variable: str
    folders: tuple[str, ...]
    package: str
    below: str
    needed: tuple[str, ...]


def _find(subject: str, place: _Place, sdk: str) -> Path:
    if named := os.environ.get(place.variable):
        candidates, came = [Path(named)], f"{place.variable}={named} has no {' with '.join(place.needed)}"
        cure = f"set {place.variable} to a folder that has them, or to nothing"
    else:
        found = importlib.util.find_spec(place.package)  # does not import it
        locations = found.submodule_search_locations if found else None
        candidates = [*map(Path, place.folders), *(Path(location) / place.below for location in locations or ())]
        came = f"no {' with '.join(place.needed)} in the usual places"
        cure = f"install {sdk}, set {place.variable}, or pip install 'briges-trt[plugin]'"
    for folder in candidates:
        if all((folder / name).is_file() for name in place.needed):
            return folder
    raise _missing(subject, came, cure)


def _version(folder: Path) -> str:
    """TensorRT's version, such as "10.14.1", from its header."""
    text = (folder / "NvInferVersion.h").read_text(encoding="utf-8", errors="replace")
    # 10.13 renamed the macros: NV_TENSORRT_MAJOR is then defined by TRT_MAJOR_ENTERPRISE.
    numbers = [
        re.search(rf"#define (?:NV_TENSORRT_{part}|TRT_{part}_ENTERPRISE) (\d+)", text)
        for part in ("MAJOR", "MINOR", "PATCH")
    ]
    return ".".join(number[1] if number else "0" for number in numbers)


def _missing(subject: str, came: str, cure: str) -> MissingExtraError:
    return MissingExtraError(subject=subject, came=came, expected="what compiles the attention plugin", cure=cure)
