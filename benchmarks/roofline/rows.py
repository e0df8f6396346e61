"""What an estimate is. docs/formats.md describes every field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from briges.runtime.agreement import Precision


@dataclass(frozen=True)
class Component:
    """One part of a network for one batch. ``bytes``: weights and activations that must pass through memory once."""

    name: str
    gflop: float
    bytes: int


@dataclass(frozen=True)
class EstimateRow:
    """A roofline estimate, never a measurement. ``floor_ms``: what no implementation can beat. ``expected_ms``: at the
    two ``efficiencies``, best first. ``fits``: whether weights and activations fit into the device's memory.
    """

    schema_version: int
    kind: Literal["estimate"]
    preset: str
    precision: Precision
    size: str
    batch: int
    semantic_interval: int
    device: str
    components: tuple[Component, ...]
    activation_bytes: int
    floor_ms: float
    expected_ms: tuple[float, ...]
    efficiencies: tuple[float, ...]
    fits: bool
    advice: tuple[str, ...]
    sources: tuple[str, ...]
