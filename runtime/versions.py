"""Version numbers as numbers: as text, 10.2 would be older than 9.9."""

from __future__ import annotations

import re


def parse_version(text: str) -> tuple[int, ...]:
    """The numbers that "10.13.3.9" or "2.8.0+cpu" begins with: (10, 13, 3, 9) or (2, 8, 0); (0,) without any."""
    leading = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, leading[0].split("."))) if leading else (0,)
