"""One estimate as a row beside the measured ones."""

from __future__ import annotations

from briges.benchmarks.roofline.advice import advise
from briges.benchmarks.roofline.devices import DeviceLimits
from briges.benchmarks.roofline.estimate import EFFICIENCIES, EFFICIENCY_SOURCE, WORK_SOURCE, Case, estimate
from briges.benchmarks.roofline.rows import Component, EstimateRow
from briges.benchmarks.rows import RESULT_SCHEMA


def estimate_row(case: Case, device: DeviceLimits, fps: float) -> EstimateRow:
    """Everything about ``case`` on ``device``. Raises UsageError for a precision the device has not."""
    found = estimate(case, device)
    return EstimateRow(
        schema_version=RESULT_SCHEMA,
        kind="estimate",
        preset=case.preset.name,
        precision=case.precision,
        size=case.size,
        batch=case.batch,
        semantic_interval=case.semantic_interval,
        device=device.name,
        components=tuple(
            Component(part.name, part.flop * case.batch / 1e9, case.moved_bytes(part)) for part in case.work
        ),
        activation_bytes=case.activation_bytes,
        floor_ms=found.floor_ms,
        expected_ms=found.expected_ms,
        efficiencies=EFFICIENCIES,
        fits=found.fits,
        advice=advise(case, device, fps),
        sources=(f"{device.name}: {device.source} ({device.basis})", WORK_SOURCE, EFFICIENCY_SOURCE),
    )
