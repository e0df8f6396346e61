"""`--attention compare`: one model with plain, native and plugin attention, side by side, and which one to take."""

from __future__ import annotations

import dataclasses
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from briges.engines.build import build_bundle
from briges.engines.engine_run import open_engines, why_not
from briges.engines.request import BuildRequest
from briges.engines.watcher import Watcher
from briges.runtime.errors import BuildError, MissingExtraError, UsageError
from briges.runtime.manifest import Manifest
from briges.runtime.photographs import photograph_feeds
from briges.runtime.sidecar import Lowering, read_model

_RUNS = 50
# Two medians nearer than this are the same, and the one that takes less memory is the better one.
_SAME_LATENCY = 1.02


@dataclass(frozen=True)
class Row:
    """One form. ``problem``: why there is no bundle of it; all else is None then. ``latency_ms``: median of whole
    inferences, copies included, at batch and size of the first graph; None where the engine cannot run here.
    """

    lowering: Lowering
    bundle: Path
    activation_bytes: int | None = None
    engine_bytes: int | None = None
    latency_ms: float | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Comparison:
    """All forms in the order plain, native, plugin; ``recommended`` is one of those with a bundle, and ``why``."""

    rows: tuple[Row, ...]
    recommended: Row
    why: str
    not_timed: str | None


def compare(model_folder: Path, out: Path, request: BuildRequest, watcher: Watcher) -> Comparison:
    """Build one bundle of each form below ``out``, as ``out``/plain, ``out``/native and ``out``/plugin.

    The plugin's row tells a problem where it cannot be built here. Raises UsageError for a model exported with another
    attention than the plugin's, or for ONNX Runtime; and what ``build_bundle`` raises.
    """
    if request.spec.flavour == "onnxruntime":
        raise UsageError(
            subject="--attention compare",
            came="for --flavour onnxruntime",
            expected="a TensorRT flavour, whose builder plans the memory",
            cure="use --flavour tensorrt-rtx, which builds on any machine",
        )
    if (exported := read_model(model_folder).attention.lowering) != "plugin":
        raise UsageError(
            subject="--attention compare",
            came=f"for a model exported with --attention {exported}",
            expected="one whose attentions are still open",
            cure="export it with --attention plugin, the default",
        )
    rows, not_timed = [], None
    for lowering in reversed(get_args(Lowering)):
        watcher.step(f"building with {lowering} attention")
        bundle = out / lowering
        log_file = request.log_file and request.log_file.with_stem(f"{request.log_file.stem}-{lowering}")
        spec = dataclasses.replace(request.spec, embed_plugin=request.spec.embed_plugin and lowering == "plugin")
        asked = dataclasses.replace(request, spec=spec, attention=lowering, log_file=log_file)
        try:
            manifest = build_bundle(model_folder, bundle, asked, watcher).manifest
        except (MissingExtraError, BuildError) as error:
            if lowering != "plugin":
                raise
            rows.append(Row(lowering, bundle, problem=f"{error.subject}: {error.came}; {error.cure}"))
            continue
        not_timed = why_not(manifest)
        latency_ms = _latency_ms(bundle, manifest, watcher) if not_timed is None else None
        engines = manifest.engines
        activation = sum(engine.activation_bytes or 0 for engine in engines) or None
        size = sum(manifest.files[engine.file].size_bytes for engine in engines)
        rows.append(Row(lowering, bundle, activation, size, latency_ms))
    best, why = recommend(rows)
    return Comparison(tuple(rows), best, why, not_timed)


def recommend(rows: list[Row]) -> tuple[Row, str]:
    """The row to take: the fastest, or of those as fast the one of least memory; by memory alone if none was timed."""
    built = [row for row in reversed(rows) if row.problem is None]  # of equals the plugin, and plain last
    timed = [row.latency_ms for row in built if row.latency_ms is not None]
    if len(timed) == len(built):
        fast = [row for row in built if row.latency_ms is not None and row.latency_ms <= min(timed) * _SAME_LATENCY]
        return min(fast, key=_memory), "fastest here" if len(fast) == 1 else "as fast as any here, in least memory"
    return min(built, key=_memory), "least activation memory; nothing was timed"


def _memory(row: Row) -> float:
    return float("inf") if row.activation_bytes is None else row.activation_bytes


def _latency_ms(bundle: Path, manifest: Manifest, watcher: Watcher) -> float:
    graph = manifest.model.graphs[0]
    feed = photograph_feeds(manifest.model, graph)[0]
    watcher.step(f"timing {manifest.attention.lowering} attention")
    taken = []
    with open_engines(bundle, manifest, graph) as run:
        for _ in range(_RUNS):
            started = time.perf_counter()
            run(feed)
            taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken[_RUNS // 5 :])  # the first ones warm up
