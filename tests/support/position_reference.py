"""DINOv2's position table resized a second time, in NumPy and float64, from the definition of the cubic kernel.

Keys' cubic convolution (IEEE TASSP 29(6), 1981) with a = -0.75 as in torch, edges clamped, corners not aligned. An
output sample ``i`` lies at (i + 0.5) / scale - 0.5 of the input; DepthAnything/Depth-Anything-V2,
depth_anything_v2/dinov2.py, takes scale = (patches + 0.1) / 37.
"""

from __future__ import annotations

import numpy as np

A = -0.75


def resize_positions(
    table: np.ndarray, source_side: int, grid: tuple[int, int], scales: tuple[float, float]
) -> np.ndarray:
    """table: [1, 1 + source_side^2, C]; scales: output steps per input step, (rows, columns); the class row is kept."""
    patches = table[0, 1:].astype(np.float64).reshape(source_side, source_side, -1)
    rows = _sampling_matrix(source_side, grid[0], scales[0])
    cols = _sampling_matrix(source_side, grid[1], scales[1])
    resized = np.einsum("is,jt,stc->ijc", rows, cols, patches, optimize=True)
    return np.concatenate([table[0, :1], resized.reshape(grid[0] * grid[1], -1)])[None]


def offset_scales(source_side: int, grid: tuple[int, int]) -> tuple[float, float]:
    """Depth Anything's scales: the 0.1 is not rounded away, it moves every sample."""
    return ((grid[0] + 0.1) / source_side, (grid[1] + 0.1) / source_side)


def size_scales(source_side: int, grid: tuple[int, int]) -> tuple[float, float]:
    """What passing the target size amounts to."""
    return (grid[0] / source_side, grid[1] / source_side)


def _sampling_matrix(source: int, target: int, scale: float) -> np.ndarray:
    matrix = np.zeros((target, source))
    for index in range(target):
        centre = (index + 0.5) / scale - 0.5
        nearest_below = int(np.floor(centre))
        for neighbour in range(nearest_below - 1, nearest_below + 3):
            matrix[index, min(max(neighbour, 0), source - 1)] += _cubic(abs(centre - neighbour))
    return matrix


def _cubic(distance: float) -> float:
    if distance <= 1:
        return (A + 2) * distance**3 - (A + 3) * distance**2 + 1
    if distance < 2:
        return A * distance**3 - 5 * A * distance**2 + 8 * A * distance - 4 * A
    return 0.0
