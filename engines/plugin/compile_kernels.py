"""Compiles the attention kernel ahead of time: PTX for every variant, with what NVIDIA's assembler says of it.

Nothing of this needs a GPU: Triton writes PTX for any target, and the ``ptxas`` in its wheel assembles it.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass

from briges.engines.plugin.variants import HEAD_BLOCKS, PTX_VERSIONS, Variant
from briges.engines.ptxas import run_ptxas
from briges.runtime.errors import BuildError

ENTRY = "attention_kernel"
# What the kernels compile with: 3.7 is what torch 2.13 for CUDA brings, 3.8 the last for Python 3.10. kernels.md is of
# the last of these; of the others a few kernels spill up to three registers.
TRITONS = ("3.7", "3.8", "3.9")
# Behind the declared parameters Triton adds two pointers, global and profile scratch: whoever launches passes nulls.
HIDDEN_PARAMETERS = 2

_POINTERS = ("query", "key", "value", "rel_pos_h", "rel_pos_w", "output")
_WARP = 32
# Written in PTX: on Ampere and Ada, on Hopper, on data-centre Blackwell and Thor.
_MATRIX = re.compile(r"\b(?:mma\.sync|wgmma\.mma_async|tcgen05\.mma)\b")


@dataclass(frozen=True)
class CompiledKernel:
    """A kernel's PTX, how to launch it, and ptxas's report.

    threads: of one program. shared_bytes: dynamic shared memory of one program. spill_bytes: of one thread, stored.
    matrix_instructions, async_copies: how often they stand in the PTX, copies of 16 bytes to shared memory alone.
    """

    variant: Variant
    ptx: str
    threads: int
    shared_bytes: int
    registers: int
    spill_bytes: int
    matrix_instructions: int
    async_copies: int

    @property
    def target(self) -> str:
        """The PTX target, such as "sm_87"."""
        return _first(r"\.target (\w+)", self.ptx)

    @property
    def ptx_version(self) -> str:
        """The PTX version a driver must read, such as "8.0"."""
        return _first(r"\.version ([\d.]+)", self.ptx)

    @property
    def parameters(self) -> int:
        """How many the entry point takes, the hidden ones included."""
        return len(re.findall(rf"\.param \.\w+ (?:\.ptr [.\w ]+)?{ENTRY}_param_\d+", self.ptx))


def compile_kernel(variant: Variant) -> CompiledKernel:
    """Compile one kernel. LLVM may end the process. Raises BuildError for one that Triton or ptxas refuses."""
    os.environ.pop("TRITON_INTERPRET", None)  # which would have Triton interpret kernels; it asks on import
    import triton
    from triton import knobs
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    knobs.compilation.disable_line_info = True  # two thirds of the PTX, with paths of this machine
    from briges.engines.plugin.attention_kernel import attention_kernel

    low, high = HEAD_BLOCKS[variant.head_dim]
    tile = variant.tile
    constants = {
        "HEAD_DIM": variant.head_dim,
        "LOW": low,
        "HIGH": high,
        "BLOCK_M": tile.queries,
        "BLOCK_N": tile.keys,
        "COLS": variant.columns,
    }
    signature = {name: _type(name, variant, constants) for name in attention_kernel.arg_names}
    # Without these promises no load is 16 bytes wide and none is asynchronous. The plugin keeps them: pointers on 16
    # bytes, channel counts multiples of 16.
    aligned = {
        (index,): [["tt.divisibility", 16]]
        for index, (name, kind) in enumerate(signature.items())
        if kind.startswith("*") or "_stride_" in name
    }
    options = {
        "num_warps": tile.warps,
        "num_stages": tile.stages,
        "ptx_version": PTX_VERSIONS[variant.compute_capability],
        "enable_fp_fusion": True,  # Triton 3.10 changes its default
    }
    number = int(variant.compute_capability.replace(".", ""))
    try:
        with tempfile.TemporaryDirectory(prefix="briges-") as folder:  # Triton's own cache lies in the user's home
            knobs.cache.dir = folder
            kernel = triton.compile(
                ASTSource(attention_kernel, signature, constants, aligned),
                target=GPUTarget("cuda", number, _WARP),
                options=options,
            )
    except Exception as error:  # Triton's compiler has no common base class for its errors
        raise compile_failed(variant, str(error).strip().partition("\n")[0]) from error
    if kernel.metadata.global_scratch_size or kernel.metadata.profile_scratch_size:
        raise compile_failed(variant, "it wants scratch memory, and whoever launches it passes none")
    ptx = kernel.asm["ptx"]
    registers, spill_bytes = _assemble(variant, ptx)
    return CompiledKernel(
        variant=variant,
        ptx=ptx,
        threads=tile.warps * _WARP,
        shared_bytes=kernel.metadata.shared,
        registers=registers,
        spill_bytes=spill_bytes,
        matrix_instructions=len(_MATRIX.findall(ptx)),
        async_copies=ptx.count("cp.async.cg"),
    )


def _type(name: str, variant: Variant, constants: dict[str, int]) -> str:
    if name in constants:
        return "constexpr"
    if name in _POINTERS:
        return f"*{variant.half_type}"
    return "*fp32" if name == "temperature" else "i32"


def _assemble(variant: Variant, ptx: str) -> tuple[int, int]:
    """Registers of a thread, and bytes of them that ptxas has to keep in memory."""
    status, report = run_ptxas(ptx, _first(r"\.target (\w+)", ptx))
    if status:
        raise compile_failed(variant, f"ptxas refuses its PTX: {report}")
    return int(_first(r"Used (\d+) registers", report)), int(_first(r"(\d+) bytes spill stores", report))


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, f"no {pattern} in what the compiler wrote"
    return found[1]


def compile_failed(variant: Variant, came: str) -> BuildError:
    """The error for a kernel that could not be compiled."""
    return BuildError(
        subject=f"attention kernel {variant}",
        came=came,
        expected="PTX that assembles",
        cure="use --attention native meanwhile, and report this",
    )
