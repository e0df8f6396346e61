"""How a row was measured, as pairs of name and text: for the details of the page and the footnotes of the Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from briges.benchmarks.accuracy.rows import AccuracyRow
from briges.benchmarks.report.numbers import plain
from briges.benchmarks.rows import Environment, LatencyRow
from briges.runtime.agreement import headroom

Facts = dict[str, str]


def method_facts(row: LatencyRow) -> Facts:
    """What was run, from where to where it was timed, and how often."""
    method, subject = row.method, row.subject
    return {
        "timed region": method.timed_region,
        "input": f"{subject.precision}, {subject.size}, batch {subject.batch}",
        "frames": f"{method.frames}, {method.frame_size}, {method.images} per request",
        "copies between host and device": {None: "none", True: "timed", False: "not timed"}[method.copies],
        "warm-up": f"{method.warm_up_s:g} s",
        "percentiles": method.percentiles,
        "command": method.command,
    }


def device_facts(environment: Environment) -> Facts:
    """Where: device, clocks, versions."""
    device = environment.device or f"{environment.cpu}, {environment.cores} cores, no GPU"
    names = {"driver": environment.driver, "CUDA": environment.cuda, "TensorRT": environment.tensorrt}
    versions = [f"{name} {version}" for name, version in names.items() if version is not None]
    versions += [f"{name} {version}" for name, version in sorted(environment.versions.items())]
    return {
        "device": device if environment.jetson is None else f"{device}, {environment.jetson}",
        "clocks": _clocks(environment),
        "versions": ", ".join([*versions, f"briges-trt {environment.tool_version}"]),
    }


def run_facts(row: LatencyRow) -> Facts:
    """What came out beside the figures of the tables; for the details of the page."""
    latency, usage, stopping, stability = row.latency, row.usage, row.early_stopping, row.stability
    spread = "unknown" if stability.spread is None else f"{stability.spread:.2%}"
    estimate = "too few requests" if stopping.estimate_ms is None else f"{plain(stopping.estimate_ms)} ms"
    facts = {
        "mode": f"{row.method.mode}, {row.method.streams} stream{'' if row.method.streams == 1 else 's'}",
        "requests": f"{latency.n}, in {row.method.duration_s:g} s, {row.method.min_iterations} at least",
        "latency": f"mean {plain(latency.mean_ms)}, std {plain(latency.std_ms)}, min {plain(latency.min_ms)}, "
        f"p95 {plain(latency.p95_ms)}, max {plain(latency.max_ms)} ms",
        "stability": f"last {stability.windows} windows' medians {spread} apart, {stability.limit:.2%} allowed",
        f"early-stopping p{stopping.percentile:g}": estimate,
        "CPU": f"{usage.cpu:.2f} cores busy"
        + ("" if usage.other_cpu is None else f", {usage.other_cpu:.2f} of other processes"),
        "host memory before it was loaded": ""
        if usage.host_before_bytes is None
        else f"{plain(usage.host_before_bytes / 1e6)} MB",
        "allocated per request": f"{plain(usage.allocated_bytes_per_request / 1e3)} kB by Python and NumPy",
        "measured at": row.measured_at,
        "temperature, °C": " to ".join(f"{value:g}" for value in row.environment.temperature_c),
        "bundle": row.subject.bundle or "",
        "manifest SHA-256": row.subject.manifest_sha256 or "",
        "plugin SHA-256": row.subject.plugin_sha256 or "",
        "CUDA graph": {None: "", True: "yes", False: "no"}[row.subject.cuda_graph],
    }
    if row.fixed_rate is not None:
        fixed = row.fixed_rate
        facts["camera"] = f"{fixed.offered} frames offered, {fixed.missed} late, {fixed.queue_max} waited at most"
    if usage.energy_mj_per_frame is not None:
        facts["energy"] = f"{plain(usage.energy_mj_per_frame)} mJ per frame, of {usage.power or 'the whole device'}"
    if row.check.agreement is not None and row.check.limits is not None:
        facts["check against fp32 PyTorch"] = headroom(row.check.agreement, row.check.limits)
    return {name: text for name, text in facts.items() if text}


def environment_facts(environment: Environment) -> Facts:
    """Every field that is known, for a table."""
    memory = environment.memory_bytes
    facts = {
        "GPU": environment.device,
        "compute capability": environment.compute_capability,
        "driver": environment.driver,
        "CUDA": environment.cuda,
        "TensorRT": environment.tensorrt,
        "CPU": f"{environment.cpu}, {environment.cores} cores",
        "governor": environment.governor,
        "memory": None if memory is None else f"{memory / 1e9:.1f} GB",
        "system": environment.system,
        "Jetson": environment.jetson,
        "power mode": environment.power_mode,
        "packages": ", ".join(f"{name} {version}" for name, version in sorted(environment.versions.items())),
        "briges-trt": environment.tool_version,
        "commit": environment.commit,
    }
    return {name: text for name, text in facts.items() if text}


def differing(places: Sequence[Facts]) -> list[str]:
    """The names of facts that are not the same in all ``places``."""
    names = dict.fromkeys(name for place in places for name in place)
    return [name for name in names if len({place.get(name) for place in places}) > 1]


def protocol_facts(row: AccuracyRow) -> Facts:
    """How accuracy was measured."""
    protocol = row.protocol
    near, far = protocol.depth_range_m[:2] if len(protocol.depth_range_m) > 1 else (0.0, 0.0)
    facts = {
        "dataset": protocol.dataset,
        "task": protocol.task,
        "alignment": protocol.alignment,
        "crop": protocol.crop or "none",
        "depth counted": f"{near:g} m to {f'{far:g} m' if far else 'no limit'}",
        "flip averaged": "yes" if protocol.flip else "no",
        "reference": protocol.reference or "",
        "command": protocol.command,
    }
    return {name: text for name, text in facts.items() if text}


def _clocks(environment: Environment) -> str:
    parts = [environment.clocks or "not known"]
    parts += [f"governor {environment.governor}"] if environment.governor else []
    parts += [f"power mode {environment.power_mode}"] if environment.power_mode else []
    return ", ".join(parts)
