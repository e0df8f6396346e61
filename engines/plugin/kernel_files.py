"""The kernels as files: what kernels.S embeds, the table that kernels.cpp is compiled with, and the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from briges.engines.plugin.compile_kernels import CompiledKernel
from briges.engines.plugin.kernel_report import report
from briges.engines.plugin.record import KERNELS_FILE, REPORT_FILE, TABLE_FILE, KernelRow
from briges.runtime.files import write_text

_HALF_TYPES = ("fp16", "bf16")  # 0 and 1 in kernels.h


def write_kernels(kernels: Sequence[CompiledKernel], work: Path) -> None:
    """``kernels.bin``: PTX texts, each with a zero behind it; ``kernels.inc``: the rows of kernels.cpp's table."""
    image, rows = bytearray(), []
    for kernel in kernels:
        variant = kernel.variant
        capability = variant.compute_capability.replace(".", "")
        numbers = [
            capability,
            variant.head_dim,
            _HALF_TYPES.index(variant.half_type),
            variant.columns,
            variant.tile.queries,
            kernel.threads,
            kernel.shared_bytes,
            len(image),
        ]
        rows.append("{" + ", ".join(map(str, numbers)) + "},\n")
        image += kernel.ptx.encode("ascii") + b"\0"
    (work / KERNELS_FILE).write_bytes(image)
    write_text(work / TABLE_FILE, "".join(rows))
    write_text(work / REPORT_FILE, report(kernels))


def write_stand_in(work: Path) -> None:
    """Files as small as can be, with which the library compiles and runs nothing."""
    (work / KERNELS_FILE).write_bytes(b"\0")
    write_text(work / TABLE_FILE, "{80, 64, 0, 0, 64, 128, 0, 0},\n")


def row_of(kernel: CompiledKernel) -> KernelRow:
    """The same for ``plugin.json``."""
    variant = kernel.variant
    return KernelRow(variant.compute_capability, variant.head_dim, variant.half_type, variant.columns)
