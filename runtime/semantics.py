"""When the semantic features are computed anew, and how old they are otherwise.

The semantic encoder is 62 to 64 % of the work of BriGeS at 518x518, and what things are changes more slowly than where
they are: with an interval of N it runs for every N-th frame, and at once when the scene changes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

GRID = 64
# Neighbouring frames of a video are 0.00 to 0.02 apart, a cut to another scene 0.2 to 0.4 (docs/adr/0014).
SCENE_CHANGE = 0.1


def green_grid(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The green channel of ``image``, uint8 [h, w, 3], at the centres of a regular grid: uint8 [64, 64].

    Single pixels: a mean over each cell would cost more than the rest of the host's work per frame.
    """
    rows, columns = ((2 * np.arange(GRID) + 1) * side // (2 * GRID) for side in image.shape[:2])
    grid: NDArray[np.uint8] = image[rows[:, None], columns[None, :], 1]
    return grid


def scene_change(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> float:
    """How far apart two grids are, 0..1: the mean absolute difference of their brightness."""
    return float(np.abs(before.astype(np.int16) - now).mean() / 255)


class SemanticSchedule:
    """Decides, frame by frame, whether the semantic features have to be computed.

    ``age``: of the features the last frame used, in frames; 0 if they were its own.
    """

    def __init__(self, interval: int, threshold: float | None) -> None:
        """interval: 1 for every frame. threshold: a ``scene_change`` above it makes them due; None for no such look."""
        self._interval, self._threshold = interval, threshold
        self._view: Hashable = None
        self._grid: NDArray[np.uint8] | None = None
        self.age = 0

    def is_due(self, view: Hashable, look: Callable[[], NDArray[np.uint8]]) -> bool:
        """Whether the next frame needs features of its own; the caller computes them then, or calls ``forget``.

        view: what the features were laid out for, never None; another one makes them due. look: gives the frame's grid.
        """
        grid = look() if self._threshold is not None and self._interval > 1 else None
        fresh = view == self._view and self.age + 1 < self._interval
        if fresh and not (grid is not None and self._changed(grid)):
            self.age += 1
            return False
        self._view, self._grid, self.age = view, grid, 0
        return True

    def forget(self) -> None:
        """The features cannot be relied on, as after an inference that failed."""
        self._view = None

    def _changed(self, grid: NDArray[np.uint8]) -> bool:
        assert self._threshold is not None
        return self._grid is not None and scene_change(self._grid, grid) > self._threshold
