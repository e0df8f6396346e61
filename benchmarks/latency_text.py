"""A row of latency for people, on a terminal."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from briges.benchmarks.rows import LatencyRow, is_disturbed
from briges.runtime.agreement import headroom
from briges.runtime.tables import Section


def describe(row: LatencyRow) -> Section:
    """Everything that was measured, one line each, titled by its subject."""
    found, method = row.latency, row.method
    lines = [
        (
            "latency",
            f"p50 {found.p50_ms:.2f} ms, p90 {found.p90_ms:.2f}, p95 {found.p95_ms:.2f}, p99 {found.p99_ms:.2f}, "
            f"{found.min_ms:.2f} to {found.max_ms:.2f}; mean {found.mean_ms:.2f} +- {found.std_ms:.2f}, "
            f"jitter {found.jitter_ms:.2f}, n {found.n}",
        ),
        ("median", _stability(row)),
        ("p90, early stopping", _early(row)),
        ("throughput", f"{row.throughput_fps:.2f} images/s, {method.mode}, {method.streams} stream(s)"),
        *([("camera", _camera(row))] if row.fixed_rate else []),
        *_stages(row),
        ("host overhead", f"median {statistics.median(row.overhead_ms):.2f} ms per request outside the engine"),
        ("memory", _memory(row)),
        ("CPU", _cpu(row)),
        ("output", row.check.skipped or _headroom(row)),
        ("timed", f"{method.timed_region}; {method.frames}, {method.frame_size}; {method.images} image(s) a request"),
        ("machine", _machine(row)),
    ]
    return Section(f"{row.subject.label}{', INTERRUPTED' if row.interrupted else ''}", tuple(lines))


def summary(rows: Sequence[LatencyRow]) -> Section:
    """Several rows in one table; empty for a single one."""
    cells = tuple(
        (
            f"{row.latency.p50_ms:.2f}{'' if row.stability.stable else '*'}",
            f"{row.latency.p99_ms:.2f}",
            f"{row.throughput_fps:.2f}",
            f"{statistics.median(row.overhead_ms):.2f}",
            row.subject.label,
        )
        for row in rows
    )
    columns = ("p50 ms", "p99 ms", "images/s", "host ms", "* its median never settled")
    return Section("Summary", cells if len(rows) > 1 else (), columns)


def _stability(row: LatencyRow) -> str:
    found = row.stability
    if found.spread is None:
        return "too few requests to say whether it is stable"
    apart = f"three quarters of the run are {found.spread:.1%} apart"
    return f"stable: {apart}" if found.stable else f"NEVER STABLE: {apart}, at most {found.limit:.0%} allowed"


def _early(row: LatencyRow) -> str:
    estimate = row.early_stopping.estimate_ms
    return f"{estimate:.2f} ms (MLPerf's rule)" if estimate is not None else "too few requests for MLPerf's rule: 64"


def _camera(row: LatencyRow) -> str:
    camera = row.fixed_rate
    assert camera is not None
    share = camera.missed / camera.offered
    return (
        f"{row.method.rate_fps:g} frames/s: {camera.missed} of {camera.offered} deadlines missed ({share:.1%}), "
        f"at most {camera.queue_max} waiting; latency counts from when a frame came"
    )


def _stages(row: LatencyRow) -> list[tuple[str, str]]:
    medians = [f"{stage.name} {statistics.median(stage.samples_ms):.2f}" for stage in row.stages]
    clock = row.stages[0].clock if row.stages else "host"
    return [("stages", f"{', '.join(medians)} ms; medians, {clock} clock")]


def _memory(row: LatencyRow) -> str:
    usage = row.usage
    before = f"{_megabytes(usage.host_before_bytes)} before it was loaded"
    parts = [f"host {_megabytes(usage.host_steady_bytes)}, peak {_megabytes(usage.host_peak_bytes)}, {before}"]
    if usage.device_peak_bytes is not None:
        parts.append(f"device {_megabytes(usage.device_steady_bytes)}, peak {_megabytes(usage.device_peak_bytes)}")
    parts.append(f"{usage.allocated_bytes_per_request / 1e3:.1f} kB allocated by Python and NumPy in a request")
    return "; ".join(parts)


def _megabytes(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else f"{size_bytes / 1e6:.0f} MB"


def _cpu(row: LatencyRow) -> str:
    usage, parts = row.usage, [f"{row.usage.cpu:.2f} cores"]
    if usage.other_cpu is not None:
        busy = "OTHERS WERE BUSY: " if is_disturbed(row) else "others "
        parts.append(f"{busy}{usage.other_cpu:.2f}")
    if usage.energy_mj_per_frame is not None:
        parts.append(f"{usage.energy_mj_per_frame:.1f} mJ per image, of {usage.power}")
    return "; ".join(parts)


def _headroom(row: LatencyRow) -> str:
    assert row.check.agreement is not None
    assert row.check.limits is not None
    return f"{headroom(row.check.agreement, row.check.limits)}, against fp32 PyTorch"


def _machine(row: LatencyRow) -> str:
    found = row.environment
    parts = [found.device or f"{found.cpu}, {found.cores} cores", found.jetson, found.power_mode, found.clocks]
    return ", ".join(part for part in parts if part)
