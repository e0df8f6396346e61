"""A bundle on ONNX Runtime against the same weights in eager PyTorch, on the same cores in one run.

Timed: the model alone, from filled input arrays to the filled output array, batch and size as exported, one monotonic
host clock for both. Outputs are compared before anything is timed. The two take turns, so that a busy neighbour or a
falling clock hits both.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

from briges.export.assemble import assemble, with_taps
from briges.export.checkpoints import WeightFiles
from briges.export.parity import reference_depths
from briges.export.presets import find_preset
from briges.export.to_onnx import ContractModel
from briges.runtime.agreement import LIMITS, Agreement, compare, violations
from briges.runtime.errors import BackendError, UsageError
from briges.runtime.files import sha256_of
from briges.runtime.manifest import Manifest, read_manifest
from briges.runtime.onnx_backend import OnnxBackend, open_sessions
from briges.runtime.photographs import Feed, photograph_feeds
from briges.runtime.sidecar import ModelSpec, SizedGraph


@dataclass(frozen=True)
class EagerComparison:
    """Latencies in milliseconds per inference, every sample kept, and how far the outputs were apart."""

    onnxruntime_ms: tuple[float, ...]
    eager_ms: tuple[float, ...]
    agreement: Agreement
    manifest: Manifest
    conditions: str  # what was timed, on what, with which versions

    @property
    def ratio(self) -> float:
        """Median eager latency over median ONNX Runtime latency: above 1, ONNX Runtime is faster."""
        return statistics.median(self.eager_ms) / statistics.median(self.onnxruntime_ms)


def compare_with_eager(
    bundle: Path, source: WeightFiles | None, *, runs: int, on_step: Callable[[str], None]
) -> EagerComparison:
    """Time ``bundle`` against eager PyTorch, ``runs`` inferences each after one warm-up.

    source: the files the bundle was made from; None for a bundle of random weights, which are drawn again.
    Raises UsageError if the weights are not the bundle's, BackendError if the outputs differ.
    """
    manifest = read_manifest(bundle)
    spec, graph = manifest.model, manifest.model.graphs[0]
    _require_onnxruntime(bundle, manifest)
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    model = _rebuild(spec, graph, source)
    feed = photograph_feeds(spec, graph)[0]
    reference = reference_depths(model, [feed], on_step)[0]
    engines = manifest.engines_of(graph.size)
    backend = OnnxBackend(engines, open_sessions(bundle, engines, "cpu", threads))
    try:
        for name, array in feed.items():
            backend.inputs[name][...] = array
        backend.run()
        agreement = compare(backend.output, reference)
        if found := violations(agreement, LIMITS[spec.precision]):
            raise BackendError(
                subject=f"bundle {bundle}",
                came=f"differs from eager PyTorch: {'; '.join(found)}",
                expected="the same depth before anything is timed",
                cure="give the checkpoint the bundle was made from, or build it again",
            )
        samples: tuple[list[float], list[float]] = ([], [])
        for number in range(1, runs + 1):
            on_step(f"timing run {number} of {runs}")
            samples[0].append(_milliseconds(backend.run))
            samples[1].append(_milliseconds(lambda: _forward(model, feed)))
    finally:
        backend.close()
    conditions = _conditions(spec, graph, backend.name, threads)
    return EagerComparison(tuple(samples[0]), tuple(samples[1]), agreement, manifest, conditions)


def _require_onnxruntime(bundle: Path, manifest: Manifest) -> None:
    if manifest.flavour != "onnxruntime":
        raise UsageError(
            subject=f"bundle {bundle}",
            came=f"a {manifest.flavour} engine",
            expected="a bundle for ONNX Runtime: both sides run on the same CPU cores",
            cure="build one from the same model: `briges build MODEL_DIR --out BUNDLE --flavour onnxruntime`",
        )


def _conditions(spec: ModelSpec, graph: SizedGraph, backend: str, threads: int) -> str:
    return (
        f"{spec.preset} {spec.precision} {graph.size} batch {spec.batch}; model alone, host clock, 1 warm-up; "
        f"{_cpu_name()}, {threads} threads, clocks as found; {backend}, torch {torch.__version__}, "
        f"briges-trt {metadata.version('briges-trt')}"
    )


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _rebuild(spec: ModelSpec, graph: SizedGraph, source: WeightFiles | None) -> ContractModel:
    seed = spec.weights.random_seed
    if (seed is None) == (source is None):
        raise UsageError(
            subject="--checkpoint",
            came="given for a bundle of random weights" if source else "nothing",
            expected="the weight files the bundle was made from" if seed is None else "no checkpoint",
            cure="leave it out" if source else "add --checkpoint FILE",
        )
    temperature = spec.temperature
    text = (
        "dynamic" if temperature.mode == "dynamic" else f"cross={temperature.cross},self={temperature.self_attention}"
    )
    known = {file.sha256 for file in spec.weights.files}
    if source is not None and source.checkpoint.is_file() and sha256_of(source.checkpoint) not in known:
        raise UsageError(
            subject=f"--checkpoint {source.checkpoint}",
            came="is not the file the bundle was made from",
            expected=f"the one with sha256 {spec.weights.files[0].sha256}",
            cure="give that file; its name was " + spec.weights.files[0].name,
        )
    assembled = assemble(
        with_taps(find_preset(spec.preset), spec.taps),
        source if source is not None else int(seed or 0),
        height_px=graph.image.height_px,
        width_px=graph.image.width_px,
        temperature=text,
    )
    return ContractModel(assembled.model).eval()


def _forward(model: ContractModel, feed: Feed) -> None:
    with torch.inference_mode():
        model(**{name: torch.from_numpy(array) for name, array in feed.items()})


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000
