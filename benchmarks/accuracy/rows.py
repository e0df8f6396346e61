"""What a measurement of accuracy is. docs/formats.md describes every field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from briges.benchmarks.rows import Environment, Subject


@dataclass(frozen=True)
class Interval:
    """A mean over images and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class ImageScore:
    """One image. ``metrics``: by name, empty if it was ``skipped``, which says why. ``scale`` and ``shift``: what
    aligned the prediction with 1/depth; None where nothing was aligned.
    """

    name: str
    metrics: dict[str, float]
    scale: float | None
    shift: float | None
    skipped: str | None


@dataclass(frozen=True)
class Picture:
    """Photograph, ground truth (or the other bundle's depth) and depth side by side, JPEG in base64, for the report."""

    name: str
    caption: str
    jpeg_base64: str


@dataclass(frozen=True)
class Protocol:
    """How accuracy was measured. ``reference``: the other bundle, where there is no ground truth, in words."""

    dataset: str
    task: Literal["affine-invariant", "ordinal", "reference"]
    alignment: str
    crop: str | None
    depth_range_m: tuple[float, ...]  # two numbers, the second is 0 for no limit
    flip: bool
    reference: str | None
    command: str


@dataclass(frozen=True)
class AccuracyRow:
    """``means``: of the images that were not skipped, by metric."""

    schema_version: int
    kind: Literal["accuracy"]
    measured_at: str
    subject: Subject
    protocol: Protocol
    means: dict[str, Interval]
    images: tuple[ImageScore, ...]
    pictures: tuple[Picture, ...]
    interrupted: bool
    environment: Environment
