"""`briges plugin`: kernels compiled for every GPU, embedded in one C++ library, in a folder with its record."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from briges.engines.plugin.compile_kernels import TRITONS, CompiledKernel
from briges.engines.plugin.compile_pool import compile_all
from briges.engines.plugin.kernel_files import row_of, write_kernels, write_stand_in
from briges.engines.plugin.record import (
    KERNELS_FILE,
    LIBRARY_FILE,
    PLUGIN_SCHEMA,
    RECORD_FILE,
    REPORT_FILE,
    TABLE_FILE,
    PluginBuild,
    read_plugin,
)
from briges.engines.plugin.variants import PTX_VERSIONS, all_variants
from briges.engines.watcher import Watcher
from briges.runtime.compatibility import this_platform
from briges.runtime.contracts import PLUGIN_VERSION
from briges.runtime.errors import BuildError, BundleError, MissingExtraError
from briges.runtime.files import replacing_folder, sha256_of, write_text
from briges.runtime.records import to_json
from briges.runtime.toolchain import Toolchain, find_toolchain

_HERE = Path(__file__).parent
_KERNEL_SOURCES = ("attention_kernel.py", "compile_kernels.py", "kernel_files.py", "kernel_report.py", "variants.py")
_FLAGS = (
    "-std=c++17",
    "-O2",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
    "-fvisibility-inlines-hidden",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wl,--no-undefined",
    "-Wl,--gc-sections",
    # The C++ library comes along, so that one binary loads on older systems and beside any other.
    "-static-libstdc++",
    "-static-libgcc",
)


def ready_plugin(
    folder: Path,
    watcher: Watcher,
    capabilities: tuple[str, ...] = tuple(PTX_VERSIONS),
    needed: tuple[str, ...] | None = None,
) -> PluginBuild:
    """The plugin in ``folder``, built first if it is not there, not whole, or not of these sources.

    capabilities: the GPUs to compile kernels for where they must be compiled. needed: those that must have kernels for
    what is there to do; by default the same. Kernels are the same on every machine: those of these sources are used
    again, also where Triton is not installed, as on a device they were copied to.
    Raises MissingExtraError where the means to build it are missing; BuildError, OutputError.
    """
    old = _existing(folder)
    if old is not None and not _kernels_serve(old, capabilities if needed is None else needed):
        old = None
    if old is not None and old.sources == _hash(_cpp_sources()) and old.platform == this_platform():
        return old
    toolchain = find_toolchain()
    with replacing_folder(folder, marker=RECORD_FILE) as work:  # before the minutes that would be lost if it cannot be
        if old is not None:
            for name in (KERNELS_FILE, TABLE_FILE, REPORT_FILE):
                shutil.copyfile(folder / name, work / name)
            rows, triton = old.kernels, old.triton
        else:
            watcher.step("trying the compiler")  # seconds now, instead of a minute's kernels in vain
            write_stand_in(work)
            compile_library(toolchain, work)
            kernels = _compile(capabilities, watcher)
            write_kernels(kernels, work)
            rows, triton = tuple(map(row_of, kernels)), metadata.version("triton")
        watcher.step("compiling the plugin library")
        compile_library(toolchain, work)
        build = PluginBuild(
            schema_version=PLUGIN_SCHEMA,
            version=PLUGIN_VERSION,
            sources=_hash(_cpp_sources()),
            kernel_sources=_hash(_HERE / name for name in _KERNEL_SOURCES),
            triton=triton,
            tensorrt_headers=toolchain.tensorrt_version,
            platform=this_platform(),
            kernels=rows,
            files={path.name: sha256_of(path) for path in sorted(work.iterdir())},
        )
        write_text(work / RECORD_FILE, to_json(build))
    return build


def _existing(folder: Path) -> PluginBuild | None:
    try:
        return read_plugin(folder)
    except BundleError:
        pass
    try:  # the kernels alone, which take a minute where the library takes seconds
        return dataclasses.replace(read_plugin(folder, (KERNELS_FILE, TABLE_FILE, REPORT_FILE)), sources="")
    except BundleError:
        return None


def _kernels_serve(old: PluginBuild, needed: Iterable[str]) -> bool:
    same_sources = old.kernel_sources == _hash(_HERE / name for name in _KERNEL_SOURCES)
    return same_sources and all(old.has_kernels_for(capability) for capability in needed)


def _compile(capabilities: tuple[str, ...], watcher: Watcher) -> list[CompiledKernel]:
    _require_triton()
    variants = all_variants(capabilities)
    watcher.step("compiling attention kernels")
    done: list[object] = []

    def count(variant: object) -> None:
        done.append(variant)
        watcher.progress("kernel", len(done), len(variants))

    return compile_all(variants, count)


def _require_triton() -> None:
    """Of a release that the kernels were compiled with and looked at."""
    try:
        found = metadata.version("triton")
    except metadata.PackageNotFoundError:
        found = ""
    if ".".join(found.split(".")[:2]) not in TRITONS:
        raise MissingExtraError(
            subject="the plugin's kernels",
            came=f"Triton {found} is installed" if found else "Triton, which compiles them, is not installed",
            expected=f"Triton {' or '.join(TRITONS)}, or a folder build/plugin that was made elsewhere",
            cure="pip install 'briges-trt[plugin]', or copy build/plugin from a machine that has it",
        )


def compile_library(toolchain: Toolchain, work: Path) -> None:
    """Compile and link the library in the folder ``work``, where its kernels are. Raises BuildError."""
    command = [
        *toolchain.compiler,
        *_FLAGS,
        "-Xlinker",
        f"--version-script={_HERE / 'exports.map'}",
        "-I.",
        "-Wa,-I.",  # where the assembler finds the kernels to embed; a path of its own must have no comma
        "-isystem",
        str(toolchain.tensorrt),
        "-isystem",
        str(toolchain.cuda),
        *(str(path) for path in _cpp_sources() if path.suffix in (".cpp", ".S")),
        "-o",
        LIBRARY_FILE,
        "-ldl",
    ]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode or not (work / LIBRARY_FILE).is_file():
        said = done.stderr.strip().splitlines()[:10] or [f"it says nothing and ends with exit code {done.returncode}"]
        raise BuildError(
            subject="plugin library",
            came=f"{' '.join(toolchain.compiler)} does not make it:\n    " + "\n    ".join(said),
            expected=f"C++17 and the headers of TensorRT {toolchain.tensorrt_version} in {toolchain.tensorrt}",
            cure="set CXX, TENSORRT_INCLUDE or CUDA_INCLUDE to others, or use --attention native",
        )


def _cpp_sources() -> list[Path]:
    return sorted(path for path in _HERE.iterdir() if path.suffix in (".cpp", ".h", ".S", ".map"))


def _hash(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
