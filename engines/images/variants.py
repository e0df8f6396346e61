"""What the image kernels are compiled with: element types, block sizes, warps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ImageVariant:
    """One file of PTX. ``pointers``: the element type of each pointer, in Triton's words.

    ``blocks``: constants the host makes the grid of; ``constants``: the others.
    """

    name: str
    module: str
    function: str
    pointers: Mapping[str, str]
    blocks: Mapping[str, int]
    warps: int = 4
    constants: Mapping[str, bool] = field(default_factory=dict)


def _input(name: str, element: str, planes: bool) -> ImageVariant:
    kernel = f"{name}_input_kernel"
    dtype = "float32" if planes else "uint8"
    pointers = {"source": "u8", "out": element}
    return ImageVariant(f"{name}_input_{dtype}", kernel, kernel, pointers, {"BLOCK": 128}, constants={"PLANES": planes})


VARIANTS = (
    _input("depth", "u8", False),
    _input("depth", "fp32", True),
    _input("semantic", "u8", False),
    _input("semantic", "fp32", True),
    ImageVariant(
        "depth_output",
        "depth_output_kernel",
        "depth_output_kernel",
        {"depth": "fp32", "out": "fp32", "partials": "fp32"},
        {"ROWS": 4, "BLOCK": 128},
    ),
    ImageVariant("range", "range_kernel", "range_kernel", {"partials": "fp32", "limits": "fp32"}, {"BLOCK": 1024}),
    ImageVariant(
        "histogram",
        "range_kernel",
        "histogram_kernel",
        {"depth": "fp32", "limits": "fp32", "histogram": "i32"},
        {"BINS": 1024, "BLOCK": 512},
    ),
    ImageVariant(
        "percentile",
        "range_kernel",
        "percentile_kernel",
        {"histogram": "i32", "limits": "fp32", "clipped": "fp32"},
        {"BINS": 1024},
    ),
    ImageVariant(
        "colour",
        "colour_kernel",
        "colour_kernel",
        {"depth": "fp32", "limits": "fp32", "table": "u8", "out": "u8"},
        {"BLOCK": 512},
    ),
    ImageVariant("grid", "grid_kernel", "grid_kernel", {"source": "u8", "out": "u8"}, {"SIDE": 64}, 2),
)
