"""What `briges build` says of its result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from briges.engines.build import Built
from briges.engines.compare import Comparison
from briges.engines.gate import describe
from briges.runtime.manifest import Manifest, Repair

_MB = 1e6


def describe_build(out: Path, built: Built) -> Iterator[str]:
    """Lines for people: what was built, how large it is, and what the gate found."""
    manifest = built.manifest
    sizes = ", ".join(graph.size for graph in manifest.model.graphs)
    state = "up to date" if built.up_to_date else "built"
    yield f"{out}: {state}. {manifest.model.preset} {sizes} {manifest.model.precision} for {_target(manifest)}"
    total = sum(file.size_bytes for file in manifest.files.values())
    count = len(manifest.files)
    yield f"  {count} {'file' if count == 1 else 'files'}, {total / _MB:.1f} MB"
    for engine in manifest.engines if manifest.flavour != "onnxruntime" else ():
        activation = "" if engine.activation_bytes is None else f", activations {engine.activation_bytes / _MB:.1f} MB"
        seconds = "" if engine.build_s is None else f", built in {engine.build_s:.1f} s"
        plugin = f", {engine.plugin_layers} plugin layers" if engine.plugin_layers else ""
        yield f"  {engine.file}: {manifest.files[engine.file].size_bytes / _MB:.1f} MB{activation}{plugin}{seconds}"
    yield f"  attention: {manifest.attention.lowering}{_library(manifest)}"
    if manifest.repair is not None:
        yield f"  {_cost(manifest.repair)}"
    if manifest.gate is None:
        yield "  numeric gate: not run, the model was exported with --no-verify"
    else:
        yield f"  numeric gate {'passed' if manifest.gate.passed else 'FAILED'}"
        for line in describe(manifest.gate):
            yield f"    {line}"
    if manifest.flavour != "onnxruntime" and not built.up_to_date:
        yield f"  TensorRT's log: {built.log_file}"


def describe_comparison(comparison: Comparison) -> str:
    """A table of the forms, and which one to take."""
    lines = ["attention   activations       engine      latency  bundle"]
    for row in comparison.rows:
        if row.problem is not None:
            lines.append(f"{row.lowering:<9}  not built: {row.problem}")
            continue
        memory = _megabytes(row.activation_bytes)
        latency = "-" if row.latency_ms is None else f"{row.latency_ms:.2f} ms"
        lines.append(f"{row.lowering:<9} {memory:>13} {_megabytes(row.engine_bytes):>12} {latency:>12}  {row.bundle}")
    if comparison.not_timed is not None:
        lines.append(f"not timed: {comparison.not_timed}")
    best = comparison.recommended
    lines.append(f"take {best.bundle} ({best.lowering}): {comparison.why}")
    return "\n".join(lines)


def _megabytes(count: int | None) -> str:
    return "-" if count is None else f"{count / _MB:.1f} MB"


def _library(manifest: Manifest) -> str:
    plugin = manifest.attention.plugin
    return "" if plugin is None else f", {plugin.file} {manifest.files[plugin.file].size_bytes / _MB:.1f} MB"


def _target(manifest: Manifest) -> str:
    capabilities = ", ".join(manifest.options.compute_capabilities)
    gpus = f", compute capability {capabilities}" if capabilities else ""
    return f"{manifest.flavour} {manifest.flavour_version}{gpus}"


def _cost(repair: Repair) -> str:
    engines = f"engines {repair.engine_bytes_before / _MB:.1f} -> {repair.engine_bytes_after / _MB:.1f} MB"
    before, after = repair.activation_bytes_before, repair.activation_bytes_after
    activations = "" if before is None or after is None else f", activations {before / _MB:.1f} -> {after / _MB:.1f} MB"
    return f"repaired with {', '.join(repair.parts)} in {repair.dtype}: {engines}{activations}"
