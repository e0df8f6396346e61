"""One measurement: a contender's output checked, its requests timed, and everything that is told beside them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from briges.benchmarks.check import check_output
from briges.benchmarks.contender import Contender
from briges.benchmarks.distribution import PERCENTILES, judge_stability, stop_early, summarise
from briges.benchmarks.environment import read_environment
from briges.benchmarks.frames import Frames
from briges.benchmarks.rows import (
    RESULT_SCHEMA,
    Check,
    FixedRate,
    LatencyRow,
    Method,
    Mode,
    Reading,
    Stage,
    Usage,
)
from briges.benchmarks.streams import time_streams
from briges.benchmarks.telemetry import energy_mj, telemetry
from briges.benchmarks.timing import Clock, HostClock, Plan, Samples, time_fixed_rate, time_single_stream, warm_up
from briges.benchmarks.usage import HostUsage, allocated_bytes, watch_host
from briges.runtime.errors import BrigesError
from briges.runtime.result import Timings

# A tenth of a microsecond: finer is noise, and files hold every sample.
_DIGITS = 4


@dataclass(frozen=True)
class LatencySpec:
    """What is asked for. ``locked``: the GPU's clocks are held. ``command``: what was typed."""

    plan: Plan
    mode: Mode = "single-stream"
    streams: int = 1
    rate_fps: float | None = None
    threads: int | None = None
    locked: bool = False
    command: str = ""


def measure_latency(
    contender: Contender,
    bundle: Path,
    frames: Frames,
    spec: LatencySpec,
    *,
    on_step: Callable[[str], None],
    on_progress: Callable[[float], None],
    clock: Clock | None = None,
    host_before_bytes: int | None = None,
) -> tuple[LatencyRow, BrigesError | None]:
    """Check the output of ``contender``, the model of ``bundle``, then time its requests on ``frames``.

    host_before_bytes: what the process held before the contender was loaded
    Raises BackendError for a wrong output, before anything is timed, and what the contender raises until then. Ctrl-C
    or an error while timing gives the row of what was measured, marked as interrupted, and the error.
    """
    clock = clock or HostClock()
    contender.load(frames)
    on_step(f"checking the output of {contender.subject.label}")
    check = check_output(contender, bundle)
    on_step(f"warming up for {spec.plan.warm_up_s:g} s")
    warm_up(contender.request, spec.plan, clock, contender.unlike_requests)
    allocated = allocated_bytes(lambda: contender.request(0))
    with _with_twins(contender, spec, clock) as contenders:
        on_step(f"timing for {spec.plan.duration_s:g} s or more, {spec.mode}")
        with telemetry(contender.device_index) as told, watch_host() as host:
            started_s = clock.now_s()
            samples, camera = _time(contenders, spec, clock, on_progress)
    readings = told.readings(started_s)
    usage = _usage(host, host_before_bytes, readings, allocated, told.power)
    return _row(contender, frames, spec, check, samples, camera, readings, usage), samples.failure


@contextlib.contextmanager
def _with_twins(contender: Contender, spec: LatencySpec, clock: Clock) -> Iterator[list[Contender]]:
    """``contender`` and as many others as make the streams, warm, so that nothing of that is within the timing."""
    plan = dataclasses.replace(spec.plan, warm_up_s=0)
    with contextlib.ExitStack() as stack:
        every = [contender]
        for _ in range(spec.streams - 1):
            every.append(stack.enter_context(contextlib.closing(contender.twin())))
            warm_up(every[-1].request, plan, clock, contender.unlike_requests)
        yield every


def _time(
    contenders: Sequence[Contender], spec: LatencySpec, clock: Clock, on_progress: Callable[[float], None]
) -> tuple[Samples[Timings], FixedRate | None]:
    requests = [one.request for one in contenders]
    if spec.rate_fps is not None:
        return time_fixed_rate(requests[0], spec.rate_fps, spec.plan, clock, on_progress)
    if len(requests) > 1:
        return time_streams(requests, spec.plan, clock, on_progress), None
    return time_single_stream(requests[0], spec.plan, clock, on_progress), None


def _usage(
    host: HostUsage, before_bytes: int | None, readings: Sequence[Reading], allocated: int, power: str | None
) -> Usage:
    taken = [one.memory_used_bytes for one in readings if one.memory_used_bytes is not None]
    return Usage(
        host_before_bytes=before_bytes,
        host_steady_bytes=host.steady_bytes,
        host_peak_bytes=host.peak_bytes,
        device_steady_bytes=taken[-1] if taken else None,
        device_peak_bytes=max(taken) if taken else None,
        allocated_bytes_per_request=allocated,
        cpu=host.cpu,
        other_cpu=host.other_cpu,
        energy_mj_per_frame=None,
        power=power,
    )


def _row(
    contender: Contender,
    frames: Frames,
    spec: LatencySpec,
    check: Check,
    samples: Samples[Timings],
    camera: FixedRate | None,
    readings: tuple[Reading, ...],
    usage: Usage,
) -> LatencyRow:
    latencies = tuple(round(ms, _DIGITS) for ms in samples.latencies_ms)
    images = len(latencies) * contender.images
    stages = collect_stages(samples.answers)
    energy = energy_mj(readings, samples.seconds)
    warm = [one.temperature_c for one in readings if one.temperature_c is not None]
    manifest = contender.manifest
    on_tensorrt = contender.subject.engine.startswith("tensorrt")
    subject = contender.subject
    if on_tensorrt:  # a graph's engines cannot be told apart
        subject = dataclasses.replace(subject, cuda_graph=any(stage.name == "inference" for stage in stages))
    return LatencyRow(
        schema_version=RESULT_SCHEMA,
        kind="latency",
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        subject=subject,
        method=Method(
            mode=spec.mode,
            timed_region=contender.timed_region,
            frames=frames.description,
            frame_size=frames.size,
            copies=contender.copies,
            warm_up_s=spec.plan.warm_up_s,
            duration_s=spec.plan.duration_s,
            min_iterations=spec.plan.min_iterations,
            images=contender.images,
            streams=spec.streams,
            threads=spec.threads,
            rate_fps=spec.rate_fps,
            percentiles=PERCENTILES,
            command=spec.command,
        ),
        check=check,
        latency=summarise(latencies),
        samples_ms=latencies,
        started_s=tuple(round(seconds, _DIGITS + 3) for seconds in samples.due_s),
        stages=stages,
        overhead_ms=tuple(
            round(max(0.0, busy_ms - timings.waited_ms), _DIGITS)
            for busy_ms, timings in zip(samples.busy_ms, samples.answers, strict=True)
        ),
        throughput_fps=images / samples.seconds,
        stability=judge_stability(latencies),
        early_stopping=stop_early(latencies),
        fixed_rate=camera,
        usage=dataclasses.replace(usage, energy_mj_per_frame=None if energy is None else energy / images),
        readings=readings,
        interrupted=samples.interrupted,
        environment=read_environment(
            contender.device_name,
            contender.packages,
            temperatures_c=(warm[0], warm[-1]) if warm else (),
            tensorrt=manifest.flavour_version if on_tensorrt else None,
            index=contender.device_index or 0,
            locked=spec.locked,
        ),
    )


def collect_stages(answers: Sequence[Timings]) -> tuple[Stage, ...]:
    """Each part of the requests with its samples; a part that some requests leave out has fewer."""
    found: dict[str, list[float]] = {}
    for timings in answers:
        for name, ms in timings.parts:
            found.setdefault(name, []).append(round(ms, _DIGITS))
    return tuple(Stage(name, answers[0].clock, tuple(samples)) for name, samples in found.items())
