"""Who is told how a build goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Watcher:
    """``step``: takes what starts. ``progress``: takes a phase of TensorRT's builder, and how many of how many of its
    steps are done; phases nest, and so come interleaved.
    """

    step: Callable[[str], None]
    progress: Callable[[str, int, int], None]
