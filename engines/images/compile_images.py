"""Compiles the image kernels ahead of time: ``python -m briges.engines.images.compile_images``.

One PTX for all GPUs: it uses no matrix instruction, so that the oldest target serves, and the driver compiles it for
every newer one. The outputs are package data of the runtime and stand in the repository: a user needs no Triton.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from briges.engines.images.variants import VARIANTS, ImageVariant
from briges.engines.plugin.compile_kernels import HIDDEN_PARAMETERS
from briges.engines.ptxas import run_ptxas
from briges.runtime.cuda.kernel_table import TABLE_FILE, ImageKernel, KernelTable
from briges.runtime.errors import BuildError
from briges.runtime.files import write_text
from briges.runtime.records import to_json

# The editable install links every file: the repository is where the link leads.
_FOLDER = Path(__file__).resolve().parent
OUTPUT = _FOLDER.parents[1] / "runtime/kernels"
_TARGET = 75
_PTX_VERSION = 80
_WARP = 32
# Turing, Orin, Hopper, Thor: each assembles the same file.
_ASSEMBLED_FOR = ("sm_75", "sm_87", "sm_90", "sm_110")
_KINDS = {"i32": "int32", "fp32": "float32"}


def source_sha256() -> str:
    """SHA-256 of the kernels' sources, one after the other by name, and of what they are compiled with."""
    digest = hashlib.sha256()
    for file in [*sorted(_FOLDER.glob("*_kernel.py")), _FOLDER / "variants.py"]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def compile_images(folder: Path) -> KernelTable:
    """Compile every variant into ``folder``, with its table. Raises BuildError for one that cannot be used."""
    os.environ.pop("TRITON_INTERPRET", None)  # which would have Triton interpret kernels; it asks on import
    import triton

    kernels = {}
    for variant in VARIANTS:
        ptx, kernel = _compile(variant)
        write_text(folder / kernel.file, ptx)
        kernels[variant.name] = kernel
    table = KernelTable(triton.__version__, source_sha256(), kernels)
    write_text(folder / TABLE_FILE, to_json(table))
    return table


def _compile(variant: ImageVariant) -> tuple[str, ImageKernel]:
    import triton
    from triton import knobs
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    knobs.compilation.disable_line_info = True  # half of the PTX, with paths of this machine
    function: Any = getattr(importlib.import_module(f"briges.engines.images.{variant.module}"), variant.function)
    constants: Mapping[str, object] = {**variant.constants, **variant.blocks}
    signature = {name: _type(name, variant, constants) for name in function.arg_names}
    try:
        with tempfile.TemporaryDirectory(prefix="briges-") as folder:  # Triton's own cache lies in the user's home
            knobs.cache.dir = folder
            kernel = triton.compile(
                ASTSource(function, signature, constants),
                target=GPUTarget("cuda", _TARGET, _WARP),
                # Products and sums are rounded one by one: as the CPU's, and as the interpreter's that tests them.
                options={"num_warps": variant.warps, "ptx_version": _PTX_VERSION, "enable_fp_fusion": False},
            )
    except Exception as error:  # Triton's compiler has no common base class for its errors
        raise _failed(variant, str(error).strip().partition("\n")[0]) from error
    if kernel.metadata.global_scratch_size or kernel.metadata.profile_scratch_size:
        raise _failed(variant, "it wants scratch memory, and whoever launches it passes none")
    ptx: str = kernel.asm["ptx"]
    parameters: Any = tuple(_KINDS.get(kind, "pointer") for kind in signature.values() if kind != "constexpr")
    found = len(re.findall(rf"\.param \.\w+ (?:\.ptr [.\w ]+)?{variant.function}_param_\d+", ptx))
    if found != len(parameters) + HIDDEN_PARAMETERS:
        raise _failed(variant, f"its entry takes {found} parameters, not {len(parameters)} and two hidden ones")
    for target in _ASSEMBLED_FOR:
        _assemble(variant, ptx, target)
    return ptx, ImageKernel(
        file=f"{variant.name}.ptx",
        sha256=hashlib.sha256(ptx.encode("ascii")).hexdigest(),
        entry=variant.function,
        parameters=parameters,
        hidden_parameters=HIDDEN_PARAMETERS,
        threads=variant.warps * _WARP,
        shared_bytes=kernel.metadata.shared,
        blocks=dict(variant.blocks),
    )


def _type(name: str, variant: ImageVariant, constants: Mapping[str, object]) -> str:
    if name in constants:
        return "constexpr"
    if name in variant.pointers:
        return f"*{variant.pointers[name]}"
    return "fp32" if name.startswith(("mean_", "std_")) else "i32"


def _assemble(variant: ImageVariant, ptx: str, target: str) -> None:
    """Refuse PTX that ``target`` cannot run, or whose registers go through memory there."""
    status, report = run_ptxas(ptx, target)
    if status:
        raise _failed(variant, f"ptxas refuses its PTX for {target}: {report}")
    if "0 bytes spill stores, 0 bytes spill loads" not in report:
        raise _failed(variant, f"registers are spilled on {target}: {report}")


def _failed(variant: ImageVariant, came: str) -> BuildError:
    return BuildError(
        subject=f"image kernel {variant.name}",
        came=came,
        expected="PTX that assembles for every target, without spills or scratch memory",
        cure="change the kernel or its block sizes",
    )


if __name__ == "__main__":
    compile_images(OUTPUT)
