"""What stands in ``kernels/kernels.json``: the image kernels that are package data, and how to launch them."""

from __future__ import annotations

from dataclasses import dataclass

from briges.runtime.cuda.device import ParameterType

# Beside the PTX, in the folder kernels of briges.runtime.
TABLE_FILE = "kernels.json"


@dataclass(frozen=True)
class ImageKernel:
    """One file of PTX with one entry.

    parameters: in order, without the ``hidden_parameters`` pointers behind them, which are null. threads: of one block.
    shared_bytes: dynamic shared memory of one block. blocks: what the grid is made of, in pixels.
    """

    file: str
    sha256: str
    entry: str
    parameters: tuple[ParameterType, ...]
    hidden_parameters: int
    threads: int
    shared_bytes: int
    blocks: dict[str, int]


@dataclass(frozen=True)
class KernelTable:
    """All of them, the version of Triton that compiled them and the SHA-256 of their sources."""

    triton: str
    source_sha256: str
    kernels: dict[str, ImageKernel]
