"""What `briges build` says of its result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from briges.engines.build import Built
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
        yield f"  {engine.file}: {manifest.files[engine.file].size_bytes / _MB:.1f} MB{activation}{seconds}"
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


def _target(manifest: Manifest) -> str:
    capabilities = ", ".join(manifest.options.compute_capabilities)
    gpus = f", compute capability {capabilities}" if capabilities else ""
    return f"{manifest.flavour} {manifest.flavour_version}{gpus}"


def _cost(repair: Repair) -> str:
    engines = f"engines {repair.engine_bytes_before / _MB:.1f} -> {repair.engine_bytes_after / _MB:.1f} MB"
    before, after = repair.activation_bytes_before, repair.activation_bytes_after
    activations = "" if before is None or after is None else f", activations {before / _MB:.1f} -> {after / _MB:.1f} MB"
    return f"repaired with {', '.join(repair.parts)} in {repair.dtype}: {engines}{activations}"
