"""Rows of results as a measurement would have written them, for tests: every figure follows from the samples given."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Sequence
from typing import Any

from briges.benchmarks.accuracy.rows import AccuracyRow, ImageScore, Interval, Picture, Protocol
from briges.benchmarks.kernel_rows import KernelRow
from briges.benchmarks.roofline.rows import Component, EstimateRow
from briges.benchmarks.rows import (
    RESULT_SCHEMA,
    Check,
    Distribution,
    EarlyStopping,
    Environment,
    LatencyRow,
    Method,
    Stability,
    Stage,
    Subject,
    UnmeasuredRow,
    Usage,
)
from briges.runtime.agreement import LIMITS, Agreement

MEASURED_AT = "2026-01-02T03:04:05+00:00"
MANIFEST_SHA256 = "ab" * 32
# By hand: p50 12, p90 18, p95, p99 and max 20 (nearest rank), mean 13, jitter 29 / 9 = 3.22.
SAMPLES_MS = (10.0, 12.0, 11.0, 12.0, 14.0, 10.0, 12.0, 18.0, 20.0, 11.0)
# One grey pixel.
JPEG_BASE64 = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////"
    "////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AP//Z"
)


def make_subject(**changes: Any) -> Subject:
    """``briges-v2-b`` on ONNX Runtime, with random weights, but for ``changes``."""
    subject = Subject(
        preset="briges-v2-b",
        precision="fp16",
        size="518x518",
        batch=1,
        engine="onnxruntime",
        backend="ONNX Runtime 1.31.1 CPU",
        attention="native",
        temperature=1.0,
        semantic_interval=1,
        cuda_graph=None,
        bundle="engine",
        manifest_sha256=MANIFEST_SHA256,
        plugin_sha256=None,
        notices=("RANDOM WEIGHTS (seed 0): the depth means nothing",),
    )
    return dataclasses.replace(subject, **changes)


def make_environment(**changes: Any) -> Environment:
    """A machine without a GPU, but for ``changes``."""
    environment = Environment(
        device=None,
        compute_capability=None,
        driver=None,
        cuda=None,
        tensorrt=None,
        cpu="Example CPU",
        cores=2,
        governor="performance",
        memory_bytes=16 * 2**30,
        system="Linux 6.1 x86_64",
        jetson=None,
        power_mode=None,
        clocks="CPU 2.0 GHz, not locked",
        temperature_c=(),
        versions={"numpy": "2.0.0", "onnxruntime": "1.31.1"},
        tool_version="0.1.0",
        commit="0123456",
    )
    return dataclasses.replace(environment, **changes)


def make_method(**changes: Any) -> Method:
    """One stream for ten seconds, but for ``changes``."""
    method = Method(
        mode="single-stream",
        timed_region="a photograph in memory to its depth in memory, preprocessing and postprocessing included",
        frames="8 photographs of the wheel, in turn",
        frame_size="480x640",
        copies=None,
        warm_up_s=2.0,
        duration_s=10.0,
        min_iterations=10,
        images=1,
        streams=1,
        threads=None,
        rate_fps=None,
        percentiles="nearest rank",
        command="briges bench latency build/engine --json results.jsonl",
    )
    return dataclasses.replace(method, **changes)


def make_distribution(samples_ms: Sequence[float]) -> Distribution:
    """Percentiles by nearest rank, ``std_ms`` of the population."""
    ordered = sorted(samples_ms)

    def rank(percent: float) -> float:
        return ordered[max(1, math.ceil(percent / 100 * len(ordered))) - 1]

    steps = [abs(after - before) for before, after in itertools.pairwise(samples_ms)]
    return Distribution(
        n=len(ordered),
        mean_ms=statistics.fmean(ordered),
        std_ms=statistics.pstdev(ordered),
        min_ms=ordered[0],
        p50_ms=rank(50),
        p90_ms=rank(90),
        p95_ms=rank(95),
        p99_ms=rank(99),
        max_ms=ordered[-1],
        jitter_ms=statistics.fmean(steps) if steps else 0.0,
    )


def make_latency_row(samples_ms: Sequence[float] = SAMPLES_MS, **changes: Any) -> LatencyRow:
    """Requests of ``samples_ms``, each due when the one before was answered; a tenth of each is host overhead."""
    started, now = [], 0.0
    for sample in samples_ms:
        started.append(now)
        now += sample / 1000
    row = LatencyRow(
        schema_version=RESULT_SCHEMA,
        kind="latency",
        measured_at=MEASURED_AT,
        subject=make_subject(),
        method=make_method(),
        check=Check(Agreement(1e-3, 4.8e-4, 0.99999, 2e-3, 8), LIMITS["fp16"], None),
        latency=make_distribution(samples_ms),
        samples_ms=tuple(samples_ms),
        started_s=tuple(started),
        stages=(
            Stage("preprocess", "host", tuple(0.05 * sample for sample in samples_ms)),
            Stage("model", "host", tuple(0.9 * sample for sample in samples_ms)),
            Stage("postprocess", "host", tuple(0.05 * sample for sample in samples_ms)),
        ),
        overhead_ms=tuple(0.1 * sample for sample in samples_ms),
        throughput_fps=len(samples_ms) / now,
        stability=Stability(stable=True, windows=5, spread=0.004, limit=0.01),
        early_stopping=EarlyStopping(percentile=90.0, discarded=None, estimate_ms=None),
        fixed_rate=None,
        usage=Usage(
            host_before_bytes=200_000_000,
            host_steady_bytes=800_000_000,
            host_peak_bytes=1_200_000_000,
            device_steady_bytes=None,
            device_peak_bytes=None,
            allocated_bytes_per_request=1024,
            cpu=1.9,
            other_cpu=0.01,
            energy_mj_per_frame=None,
            power=None,
        ),
        readings=(),
        interrupted=False,
        environment=make_environment(),
    )
    return dataclasses.replace(row, **changes)


def make_accuracy_row(**changes: Any) -> AccuracyRow:
    """Two images of a folder and one that was skipped, of the same bundle as ``make_latency_row``'s."""
    scores = ({"abs_rel": 0.05, "delta1": 0.97, "rmse_m": 0.30}, {"abs_rel": 0.07, "delta1": 0.95, "rmse_m": 0.50})
    row = AccuracyRow(
        schema_version=RESULT_SCHEMA,
        kind="accuracy",
        measured_at=MEASURED_AT,
        subject=make_subject(),
        protocol=Protocol(
            dataset="folder rooms",
            task="affine-invariant",
            alignment="least squares of scale and shift in inverse depth",
            crop=None,
            depth_range_m=(0.1, 10.0),
            flip=False,
            reference=None,
            command="briges eval build/engine --dataset folder --root rooms",
        ),
        means={
            "abs_rel": Interval(0.06, 0.05, 0.07),
            "delta1": Interval(0.96, 0.95, 0.97),
            "rmse_m": Interval(0.40, 0.30, 0.50),
        },
        images=(
            ImageScore("hall.png", scores[0], 0.8, 0.01, None),
            ImageScore("desk.png", scores[1], 0.9, 0.02, None),
            ImageScore("dark.png", {}, None, None, "no pixel of its ground truth is valid"),
        ),
        pictures=(Picture("hall.png", "photograph, ground truth, depth", JPEG_BASE64),),
        interrupted=False,
        environment=make_environment(),
    )
    return dataclasses.replace(row, **changes)


def make_estimate_row(**changes: Any) -> EstimateRow:
    """``briges-v2-b`` on a Jetson, as a roofline would have it."""
    row = EstimateRow(
        schema_version=RESULT_SCHEMA,
        kind="estimate",
        preset="briges-v2-b",
        precision="fp16",
        size="518x518",
        batch=1,
        semantic_interval=1,
        device="orin-agx-64",
        components=(
            Component("geometry", 300.0, 200_000_000),
            Component("semantics", 900.0, 250_000_000),
            Component("gates and head", 200.0, 150_000_000),
        ),
        activation_bytes=120_000_000,
        floor_ms=25.0,
        expected_ms=(50.0, 100.0),
        efficiencies=(0.5, 0.25),
        fits=True,
        advice=("no real time at 30 fps: --semantic-interval 4 would bring 20 ms",),
        sources=("the maker's data sheet",),
    )
    return dataclasses.replace(row, **changes)


def make_kernel_row(**changes: Any) -> KernelRow:
    """A contender that did 4e9 operations in 0.5 ms, which is 8 TFLOP/s."""
    row = KernelRow(
        schema_version=RESULT_SCHEMA,
        kind="kernel",
        measured_at=MEASURED_AT,
        what="time",
        subject="geometry, batch 1, the plugin",
        values={"median_ms": 0.5, "flops": 4e9},
        samples_ms=(0.4, 0.5, 0.6),
        problem=None,
        environment={"device": "Example GPU", "sm_clock_mhz": "1500"},
    )
    return dataclasses.replace(row, **changes)


def make_unmeasured_row(**changes: Any) -> UnmeasuredRow:
    """A case of a matrix whose bundle was damaged."""
    row = UnmeasuredRow(
        schema_version=RESULT_SCHEMA,
        kind="unmeasured",
        measured_at=MEASURED_AT,
        case={"preset": "briges-v2-l", "precision": "bf16", "size": "518x518", "engine": "tensorrt"},
        reason="no GPU is here",
        environment=make_environment(),
    )
    return dataclasses.replace(row, **changes)
