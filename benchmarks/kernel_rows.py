"""What `briges bench kernel` writes. docs/formats.md describes every field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class KernelRow:
    """One output that was checked, one contender that was timed, or one ceiling of the GPU, by ``what``.

    ``values``: numbers by name: "error" and "allowed" of a check; "median_ms" and "flops" of a time, whose
    ``samples_ms`` are by CUDA events; the ceiling. ``problem``: why a check failed or a contender refused, else None.
    """

    schema_version: int
    kind: Literal["kernel"]
    measured_at: str  # UTC, ISO 8601
    what: Literal["check", "time", "ceiling"]
    subject: str
    values: dict[str, float]
    samples_ms: tuple[float, ...]
    problem: str | None
    environment: dict[str, str]
