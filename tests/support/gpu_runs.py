"""What tests of the GPU runner have in common: a simulated GPU that computes, and stub bundles for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.gpu_bundle import as_tensorrt
from support.simulated_gpu import SimulatedGpu, simulated
from support.stub_bundle import build_stub_bundle


@contextlib.contextmanager
def gpu_with_kernels(*, interpreted: bool = False) -> Iterator[tuple[SimulatedGpu, Any]]:
    """The GPU, and the stand-in for TensorRT. interpreted: the image kernels are their Triton sources, which takes
    seconds, not the CPU's functions.
    """
    from support.interpreted_kernels import interpret_kernels
    from support.reference_kernels import refer_kernels
    from support.stand_in_tensorrt import install

    with simulated() as gpu:
        (interpret_kernels if interpreted else refer_kernels)(gpu)
        yield gpu, install(gpu)


def build_stubs(folder: Path) -> Path:
    """Beside each other in ``folder``: "host", the stub for ONNX Runtime, and "gpu", the same for TensorRT."""
    build_stub_bundle(folder / "made", dynamic_temperature=True).rename(folder / "host")
    as_tensorrt(folder / "host", folder / "gpu")
    return folder
