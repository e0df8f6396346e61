"""The image kernels for the simulated GPU: their Triton sources, run by Triton's interpreter on the driver's memory."""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"  # Triton asks on import

import importlib
from typing import Any

import numpy as np
import torch
from support.simulated_gpu import Kernel, SimulatedGpu, number

from briges.engines.images.variants import VARIANTS
from briges.runtime.cuda.image_kernels import read_kernels

_DTYPES = {"u8": "uint8", "fp32": "float32", "i32": "int32"}


def interpret_kernels(gpu: SimulatedGpu) -> None:
    """Let ``gpu`` compute every image kernel of the package, found by its PTX."""
    table, texts = read_kernels()
    for variant in VARIANTS:
        gpu.kernels[texts[variant.name].decode()] = _kernel(gpu, variant, table[variant.name])


def _kernel(gpu: SimulatedGpu, variant: Any, row: Any) -> Kernel:
    module: Any = importlib.import_module(f"briges.engines.images.{variant.module}")
    function = getattr(module, variant.function)
    names = [name for name in function.arg_names if name not in variant.blocks and name not in variant.constants]

    def run(grid: tuple[int, ...], values: list[int]) -> None:
        assert values[len(names) :] == [0] * row.hidden_parameters
        arguments = {}
        for name, kind, bits in zip(names, row.parameters, values, strict=False):
            if kind == "pointer":
                held = gpu.memory(bits, np.dtype(_DTYPES[variant.pointers[name]]))
                arguments[name] = torch.from_numpy(held)
            else:
                arguments[name] = number(bits, kind)
        function[grid](**arguments, **variant.blocks, **variant.constants)

    return run
