"""How far an output may be from the reference: four measures, and the one table of limits the numeric gate applies.

The depth of this network has no scale, so an error that scale and shift explain costs a user nothing, while a local
one, such as a window of NaN-free nonsense, does: hence a deviation after alignment beside the plain ones.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Precision = Literal["fp32", "fp16", "bf16"]


@dataclass(frozen=True)
class Agreement:
    """One or more outputs against their references, the worst of each measure. None where an output is not finite.

    max_relative_error: max |output - reference| / max |reference|
    relative_l2: ||output - reference|| / ||reference||
    correlation: Pearson's, of all pixels
    aligned_deviation: max |a * output + b - reference| / (max - min of reference), a and b by least squares
    photographs: how many outputs were compared
    """

    max_relative_error: float | None
    relative_l2: float | None
    correlation: float | None
    aligned_deviation: float | None
    photographs: int

    @property
    def finite(self) -> bool:
        """Whether every output was."""
        return self.relative_l2 is not None


@dataclass(frozen=True)
class Limits:
    """What an ``Agreement`` may be at most (the correlation: at least). None: not judged."""

    max_relative_error: float | None
    relative_l2: float
    correlation: float
    aligned_deviation: float


# fp32: another order of summation, nothing else. Half: several times what the presets show on photographs (docs/adr),
# and far below what a broken layer does; 8 bits of mantissa (bf16) cost eight times what 11 bits (fp16) do.
LIMITS: dict[Precision, Limits] = {
    "fp32": Limits(max_relative_error=1e-4, relative_l2=1e-4, correlation=0.999999, aligned_deviation=1e-3),
    "fp16": Limits(max_relative_error=None, relative_l2=0.01, correlation=0.9995, aligned_deviation=0.05),
    "bf16": Limits(max_relative_error=None, relative_l2=0.05, correlation=0.995, aligned_deviation=0.2),
}


def compare(output: NDArray[np.float32], reference: NDArray[np.float32]) -> Agreement:
    """Measure one output against its reference, both float32 [B, 1, H, W], the reference finite and not constant.

    Of a batch the worst image counts: the good ones must not dilute it.
    """
    if len(output) > 1:
        images = (compare(ours[None], theirs[None]) for ours, theirs in zip(output, reference, strict=True))
        return dataclasses.replace(worst(images), photographs=1)
    if not np.isfinite(output).all():
        return Agreement(None, None, None, None, photographs=1)
    ours, theirs = output.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    difference = ours - theirs
    centred, target = ours - ours.mean(), theirs - theirs.mean()
    variance = float(centred @ centred)
    # A constant output correlates with nothing: the best alignment of it is the reference's mean.
    slope = float(centred @ target) / variance if variance > 0 else 0.0
    correlation = slope * math.sqrt(variance / float(target @ target))
    return Agreement(
        max_relative_error=float(np.abs(difference).max() / np.abs(theirs).max()),
        relative_l2=float(np.linalg.norm(difference) / np.linalg.norm(theirs)),
        correlation=min(correlation, 1.0),
        aligned_deviation=float(np.abs(slope * centred - target).max() / np.ptp(theirs)),
        photographs=1,
    )


def worst(agreements: Iterable[Agreement]) -> Agreement:
    """The worst of each measure over several comparisons, at least one."""
    every = list(agreements)
    count = sum(item.photographs for item in every)
    if not all(item.finite for item in every):
        return Agreement(None, None, None, None, count)
    return Agreement(
        max_relative_error=max(item.max_relative_error or 0.0 for item in every),
        relative_l2=max(item.relative_l2 or 0.0 for item in every),
        correlation=min(item.correlation or 0.0 for item in every),
        aligned_deviation=max(item.aligned_deviation or 0.0 for item in every),
        photographs=count,
    )


def violations(agreement: Agreement, limits: Limits) -> list[str]:
    """What is outside the limits, in words; empty if nothing is."""
    if not agreement.finite:
        return ["the output has NaN or infinite values"]
    found = []
    for name in ("max_relative_error", "relative_l2", "aligned_deviation"):
        value, limit = getattr(agreement, name), getattr(limits, name)
        if limit is not None and not value <= limit:
            found.append(f"{name} {value:.2e}, at most {limit:.0e} allowed")
    if agreement.correlation is not None and not agreement.correlation >= limits.correlation:
        found.append(f"correlation {agreement.correlation:.6f}, at least {limits.correlation} needed")
    return found


def headroom(agreement: Agreement, limits: Limits) -> str:
    """How much of each limit is used, for people: "relative L2 1.2e-03 (12 % of 1e-02 allowed), ..."."""
    if not agreement.finite:
        return "not finite"
    parts = []
    for label, name in (
        ("max relative error", "max_relative_error"),
        ("relative L2", "relative_l2"),
        ("aligned deviation", "aligned_deviation"),
    ):
        value, limit = getattr(agreement, name), getattr(limits, name)
        if limit is not None:
            parts.append(f"{label} {value:.1e} ({value / limit:.0%} of {limit:.0e} allowed)")
    return ", ".join([*parts, f"correlation {agreement.correlation:.6f}"])
