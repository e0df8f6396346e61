"""What an estimate is. docs/formats.md describes every field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from briges.runtime.agreement import Precision


@dataclass(frozen=True)
class Component:
    """One part of a network for one batch, as if it ran for every frame. ``bytes``: its weights, and what its layers
    read and write with attention fused.
    """

    name: str
    gflop: float
    bytes: int


@dataclass(frozen=True)
class EstimateRow:
    """A roofline estimate, never a measurement. Milliseconds per inference of the batch, means over the frames of a
    semantic interval. ``floor_ms``: what no implementation can beat. ``expected_ms``: at the two ``efficiencies``,
    shares of the device's peak, best first. ``fits``: whether weights, activations and the runtime fit into the
    device's memory. ``advice``: the verdict first.
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
