"""Axes of charts: where a value lies, and which values are written beside the axis."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# Beyond this ratio of the largest to the smallest value the small ones could not be told apart on a linear axis.
LOG_RATIO = 20.0


@dataclass(frozen=True)
class Scale:
    """Values ``low``..``high`` lie at ``start``..``end``, in units of the chart; ``end`` may be the smaller."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def __call__(self, value: float) -> float:
        """Where ``value`` lies; at the nearer end where it is outside."""
        share = (self._bent(value) - self._bent(self.low)) / (self._bent(self.high) - self._bent(self.low))
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values within the scale, about ``wanted``."""
        return self._log_ticks(wanted) if self.log else self._linear_ticks(wanted)

    def _bent(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.log else value

    def _linear_ticks(self, wanted: int) -> list[float]:
        raw = (self.high - self.low) / wanted
        magnitude = 10.0 ** math.floor(math.log10(raw))
        step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= raw * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) for index in range(first, last + 1)]

    def _log_ticks(self, wanted: int) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            found = [factor * 10.0**decade for decade in decades for factor in factors]
            found = [value for value in found if self.low * 0.999 <= value <= self.high * 1.001]
            if len(found) <= wanted + 2:
                return found
        return found[:: math.ceil(len(found) / wanted)]


def scale_over(values: Iterable[float], start: float, end: float, *, from_zero: bool = False) -> Scale:
    """A scale that holds ``values``, of which there must be one: logarithmic where they span more than LOG_RATIO.

    from_zero: for bars, whose length is the value; always linear.
    """
    every = list(values)
    low, high = (0.0, max(*every, 0.0)) if from_zero else (min(every), max(every))
    if low > 0 and high / low > LOG_RATIO:
        return Scale(low / 1.05, high * 1.05, start, end, log=True)
    if high <= low:
        room = abs(high) * 0.05 or 1.0
        return Scale(low - room, high + room, start, end, log=False)
    room = 0.0 if from_zero else (high - low) * 0.04
    return Scale(low - room, high + room, start, end, log=False)
