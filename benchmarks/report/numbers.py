"""Numbers for people: never in the form 1.2e+04."""

from __future__ import annotations

import math

_MOST_DECIMALS = 9


def plain(value: float, digits: int = 4) -> str:
    """``value`` with at least ``digits`` significant digits, all those before the point, and no trailing zeros."""
    if value == 0:
        return "0"
    decimals = min(max(digits - 1 - math.floor(math.log10(abs(value))), 0), _MOST_DECIMALS)
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
