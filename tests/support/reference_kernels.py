"""The image kernels for the simulated GPU, computed by the CPU functions they are tested against: milliseconds, where
Triton's interpreter takes seconds. Arguments are taken by the names and order of the Triton sources.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from support.simulated_gpu import SimulatedGpu, number

from briges.runtime import contracts
from briges.runtime.cuda.image_kernels import read_kernels
from briges.runtime.postprocess import restore_size
from briges.runtime.preprocess import Placement, fill_depth_input, fill_semantic_input
from briges.runtime.semantics import green_grid
from briges.runtime.sidecar import ImageInput

Arguments = list[Any]


def refer_kernels(gpu: SimulatedGpu) -> None:
    """Let ``gpu`` compute the kernels that the runner uses."""
    table, texts = read_kernels()
    computed: dict[str, Callable[[SimulatedGpu, tuple[int, ...], Arguments], None]] = {
        "depth_input_uint8": lambda gpu, grid, values: _depth_input(gpu, values, "uint8"),
        "depth_input_float32": lambda gpu, grid, values: _depth_input(gpu, values, "float32"),
        "semantic_input_uint8": lambda gpu, grid, values: _semantic_input(gpu, values, "uint8"),
        "semantic_input_float32": lambda gpu, grid, values: _semantic_input(gpu, values, "float32"),
        "depth_output": _depth_output,
        "grid": _grid,
    }
    for name, compute in computed.items():
        row = table[name]

        def run(
            grid: tuple[int, ...], values: list[int], compute: Any = compute, kinds: tuple[str, ...] = row.parameters
        ) -> None:
            assert values[len(kinds) :] == [0, 0]  # the hidden ones
            compute(gpu, grid, [number(bits, kind) for bits, kind in zip(values, kinds, strict=False)])

        gpu.kernels[texts[name].decode()] = run


def _source(gpu: SimulatedGpu, pointer: int, height: int, width: int, pitch_bytes: int) -> Any:
    rows = gpu.memory(pointer, np.uint8, (height - 1) * pitch_bytes + width * 3)
    strides = (pitch_bytes, 3, 1)
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(rows, (height, width, 3), strides))


def _slot(gpu: SimulatedGpu, pointer: int, spec: ImageInput) -> Any:
    shape = spec.shape(1)[1:]
    return gpu.memory(pointer, spec.dtype, int(np.prod(shape))).reshape(shape)


def _depth_input(gpu: SimulatedGpu, values: Arguments, dtype: Any) -> None:
    pointer, out, source_height, source_width, pitch_bytes, bgr, height, width, *rest = values
    placement = Placement(*rest[:4])
    spec = ImageInput(contracts.IMAGE, dtype, height, width, tuple(rest[4:7]), tuple(rest[7:10]), "cubic")
    image = _source(gpu, pointer, source_height, source_width, pitch_bytes)
    fill_depth_input(image, spec, placement, _slot(gpu, out, spec), bgr=bool(bgr))


def _semantic_input(gpu: SimulatedGpu, values: Arguments, dtype: Any) -> None:
    pointer, out, source_height, source_width, pitch_bytes, bgr, canvas_height, canvas_width, *rest = values
    placement, fill = Placement(*rest[:4]), tuple(map(float, rest[4:7]))
    height, width = rest[-8:-6]
    depth = ImageInput(contracts.IMAGE, "uint8", canvas_height, canvas_width, fill, (1.0,) * 3, "cubic")
    means, deviations = tuple(rest[-6:-3]), tuple(rest[-3:])
    resize: Any = "linear-antialiased-stretch"
    spec = ImageInput(contracts.SEMANTIC_IMAGE, dtype, height, width, means, deviations, resize)
    image = _source(gpu, pointer, source_height, source_width, pitch_bytes)
    fill_semantic_input(image, depth, spec, placement, _slot(gpu, out, spec), bgr=bool(bgr))


def _depth_output(gpu: SimulatedGpu, grid: tuple[int, ...], values: Arguments) -> None:
    pointer, out, partials, network_width, top, left, inner_height, inner_width, height, width = values
    rows = gpu.memory(pointer, np.float32, (top + inner_height) * network_width).reshape(-1, network_width)
    crop = rows[top : top + inner_height, left : left + inner_width]
    depth = restore_size(np.ascontiguousarray(crop), height, width)
    gpu.memory(out, np.float32, height * width)[...] = depth.reshape(-1)
    extremes = gpu.memory(partials, np.float32, 2 * grid[0] * grid[1])
    extremes[0::2], extremes[1::2] = depth.min(), depth.max()


def _grid(gpu: SimulatedGpu, _grid: tuple[int, ...], values: Arguments) -> None:
    pointer, out, height, width, pitch_bytes = values
    gpu.memory(out, np.uint8, 64 * 64)[...] = green_grid(_source(gpu, pointer, height, width, pitch_bytes)).reshape(-1)
