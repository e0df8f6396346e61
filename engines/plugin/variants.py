"""The kernels that are compiled: one table of architectures, head sizes, types and tile sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HalfType = Literal["fp16", "bf16"]

# Compute capability -> PTX version. 8.0 is what the driver of JetPack 6 (CUDA 12.2 to 12.6) reads; the newer targets
# have none so old. NVIDIA, "PTX ISA", release history.
PTX_VERSIONS = {"7.5": 80, "8.0": 80, "8.6": 80, "8.7": 80, "8.9": 80, "9.0": 80, "10.0": 86, "11.0": 90, "12.0": 87}

# head_dim -> its channels in blocks of powers of two. 48 is 32 + 16 and pays for nothing more; 24 is padded to 32,
# since a matrix instruction takes 16 channels at the least.
HEAD_BLOCKS = {24: (32, 0), 48: (32, 16), 64: (64, 0), 80: (64, 16)}
# SAM's head sizes: ViT-B and ViT-L have 64, ViT-H has 80.
RELATIVE_HEAD_DIMS = (64, 80)
# Grids with sides up to 16 (SAM's windows have 14) and up to 64 (its global blocks). 0: without relative positions.
COLUMNS = (0, 16, 64)


def columns_of(grid_height: int, grid_width: int) -> int | None:
    """The entry of COLUMNS that serves a grid: the least that is not below its longer side; None if none does."""
    return next((columns for columns in COLUMNS if columns >= max(grid_height, grid_width)), None)


@dataclass(frozen=True)
class Tile:
    """queries and keys of one step, warps of one program, and how many steps of keys are loaded ahead."""

    queries: int
    keys: int
    warps: int
    stages: int


@dataclass(frozen=True)
class Variant:
    """One kernel. ``columns``: see COLUMNS."""

    compute_capability: str
    head_dim: int
    half_type: HalfType
    columns: int

    def __str__(self) -> str:
        grids = f", grids up to {self.columns}" if self.columns else ""
        return f"for compute capability {self.compute_capability}, head_dim {self.head_dim}, {self.half_type}{grids}"

    @property
    def tile(self) -> Tile:
        """Chosen for no spilled register (kernels.md); none has been timed on a GPU."""
        if self.compute_capability == "7.5":  # no matrix instructions from Triton there: small tiles, few registers
            return Tile(32, 32, 8, 1)
        if self.columns == 0:
            return Tile(128, 64, 8, 2 if self.head_dim == 24 else 3)
        if self.columns == 16 and self.compute_capability != "12.0":
            return Tile(64, 64, 4, 3)
        return Tile(64, 64, 8, 2)


def all_variants(compute_capabilities: tuple[str, ...] = tuple(PTX_VERSIONS)) -> tuple[Variant, ...]:
    """Every kernel for these GPUs: on 7.5 neither bf16, which it lacks, nor grids above 16, which would spill."""
    return tuple(
        Variant(capability, head_dim, half_type, columns)
        for capability in compute_capabilities
        for head_dim in HEAD_BLOCKS
        for half_type in ("fp16", "bf16")
        for columns in (COLUMNS if head_dim in RELATIVE_HEAD_DIMS else (0,))
        if capability != "7.5" or (half_type == "fp16" and columns <= 16)
    )
