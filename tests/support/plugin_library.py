"""Compiles the plugin's library with a few real kernels, and the C++ harnesses that drive it without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from briges.engines.plugin.build_library import compile_library
from briges.engines.plugin.compile_kernels import compile_kernel
from briges.engines.plugin.kernel_files import write_kernels
from briges.engines.plugin.record import LIBRARY_FILE
from briges.engines.plugin.variants import Variant
from briges.runtime.toolchain import find_toolchain

_HARNESSES = Path(__file__).parents[1] / "engines/plugin/cpp"
_WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
# Every head size, both types, a grid of either kind, a row with an 'a' target and one of 7.5.
VARIANTS = (
    Variant("8.0", 24, "fp16", 0),
    Variant("8.0", 48, "fp16", 0),
    Variant("8.0", 48, "bf16", 0),
    Variant("8.0", 64, "fp16", 0),
    Variant("8.0", 64, "fp16", 16),
    Variant("8.0", 64, "fp16", 64),
    Variant("8.0", 80, "fp16", 0),
    Variant("7.5", 48, "fp16", 0),
    Variant("9.0", 48, "fp16", 0),
)


@cache  # one for all test modules of a session
def plugin_library() -> Path:
    """The library with VARIANTS, in a folder of its own."""
    folder = _folder("plugin")
    # TRITON_INTERPRET, which the conftest of these tests sets, would interpret the kernels instead.
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    subprocess.run([sys.executable, __file__, folder], env=environment, check=True)
    compile_library(find_toolchain(), folder)
    return folder / LIBRARY_FILE


@cache
def harness(name: str) -> Path:
    """The program ``name``.cpp of tests/engines/plugin/cpp. It exports its symbols, as TensorRT does."""
    program = _folder(name) / name
    _compile(program, [_HARNESSES / f"{name}.cpp"], "-rdynamic")
    return program


@cache
def fake_driver(*, complete: bool = True) -> Path:
    """A folder with a libcuda.so.1 that writes down what it is asked; incomplete, it lacks a function."""
    library = _folder("driver" if complete else "old-driver") / "libcuda.so.1"
    _compile(library, [_HARNESSES / "fake_cuda.cpp"], "-fPIC", "-shared", *([] if complete else ["-DINCOMPLETE"]))
    return library.parent


@cache
def _root() -> tempfile.TemporaryDirectory[str]:
    """Removed when this process ends."""
    return tempfile.TemporaryDirectory(prefix="briges-plugin-")


def _folder(name: str) -> Path:
    folder = Path(_root().name) / name
    folder.mkdir()
    return folder


def _compile(output: Path, sources: list[Path], *flags: str) -> None:
    tools = find_toolchain()
    headers = ("-isystem", tools.tensorrt, "-isystem", tools.cuda)
    command = [*tools.compiler, "-std=c++17", "-O2", *_WARNINGS, *flags, *headers, *sources, "-o", output, "-ldl"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    write_kernels([compile_kernel(variant) for variant in VARIANTS], Path(sys.argv[1]))
