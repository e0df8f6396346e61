"""What a bundle or a model folder is, as tables for people: the output of `briges inspect`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from briges.runtime import contracts
from briges.runtime.agreement import LIMITS, headroom
from briges.runtime.compatibility import NAMES, Machine, reasons_not_runnable
from briges.runtime.manifest import Gate, Manifest, Repair, read_manifest
from briges.runtime.sidecar import Decision, ModelSpec, read_model
from briges.runtime.tables import Section

_LAYER_TYPES_SHOWN = 8
_HASH_SHOWN = 12


def read_folder(folder: Path) -> Manifest | ModelSpec:
    """Read and verify a bundle, or else a model folder. Raises BundleError."""
    is_model = not os.path.exists(folder / contracts.MANIFEST_FILE) and os.path.exists(folder / contracts.SIDECAR_FILE)
    return read_model(folder) if is_model else read_manifest(folder)


def describe_bundle(manifest: Manifest, machine: Machine, *, all_decisions: bool) -> list[Section]:
    """Everything in a manifest, and whether ``machine`` can run it."""
    sizes = {name: file.size_bytes for name, file in manifest.files.items()}
    hashes = {name: file.sha256 for name, file in manifest.files.items()}
    return [
        Section("Bundle", (*_bundle(manifest), *_model(manifest.model))),
        *_precision(manifest.model, all_decisions),
        *_engines(manifest),
        *(
            _gate(manifest.gate)
            if manifest.gate
            else [Section("Numeric gate", (("none", "the model has no reference"),))]
        ),
        *([_repair(manifest.repair)] if manifest.repair else []),
        _files(hashes, sizes),
        Section("On this machine", tuple(_runnable(manifest, machine))),
    ]


def describe_model(model: ModelSpec, folder: Path, *, all_decisions: bool) -> list[Section]:
    """Everything in a sidecar; ``folder`` is asked for the sizes of the files."""
    rows = [
        (
            graph.size,
            graph.file,
            headroom(graph.agreement, LIMITS[model.precision]) if graph.agreement else "not checked",
        )
        for graph in model.graphs
    ]
    sizes = {name: (folder / name).stat().st_size for name in model.files}
    return [
        Section("Model", tuple(_model(model))),
        *_precision(model, all_decisions),
        Section("Graphs", tuple(rows), ("size", "file", "ONNX Runtime against PyTorch fp32")),
        _files(model.files, sizes),
    ]


def _bundle(manifest: Manifest) -> Iterator[tuple[str, str]]:
    options, host = manifest.options, manifest.host
    yield "runs on", f"{NAMES[manifest.flavour]} {manifest.flavour_version}"
    if manifest.flavour != "onnxruntime":
        yield "compute capabilities", ", ".join(options.compute_capabilities) or "those of the GPU it was built on"
    flags = [
        name
        for name in ("split", "hardware_compatible", "version_compatible", "strip_weights", "embed_plugin")
        if getattr(options, name)
    ]
    numbers = [name for name in ("workspace_bytes", "optimization_level") if getattr(options, name) is not None]
    chosen = [name.replace("_", "-") for name in flags] + [
        f"{name.replace('_', '-')} {getattr(options, name)}" for name in numbers
    ]
    yield "options", ", ".join(chosen) or "defaults"
    yield "attention", _built_attention(manifest)
    yield "built", f"{manifest.built_at} by briges-trt {manifest.tool_version}"
    known = [
        host.platform,
        host.device,
        host.driver and f"driver for CUDA {host.driver}",
        host.l4t and f"L4T {host.l4t}",
    ]
    yield "built on", ", ".join(item for item in known if item)


def _model(model: ModelSpec) -> Iterator[tuple[str, str]]:
    yield "preset", model.preset
    batch = f", batch {model.batch}" if model.batch > 1 else ""
    yield "sizes", ", ".join(graph.size for graph in model.graphs) + batch
    for spec in model.graphs[0].inputs[1:]:
        yield "semantic size", f"{spec.height_px}x{spec.width_px}"
    yield "inputs", model.graphs[0].image.dtype
    yield "precision", model.precision
    yield "exported attention", _attention(model)
    yield "temperature", _temperature(model)
    if model.gates is not None:
        yield "gates", f"{model.gates.heads} heads, aligner {model.gates.aligner}"
    for source in model.weights.files:
        known = f", the public {source.known_as}" if source.known_as else ""
        yield source.role, f"{source.name}, sha256 {source.sha256[:_HASH_SHOWN]}{known}"
    if model.weights.random_seed is not None:
        yield "weights", f"RANDOM, seed {model.weights.random_seed}"
    yield "licence", model.weights.licence
    yield "made with", ", ".join(f"{name} {version}" for name, version in model.versions.items()) or "not recorded"


def _built_attention(manifest: Manifest) -> str:
    attention = manifest.attention
    if attention.plugin is not None:
        count = sum(engine.plugin_layers for engine in manifest.engines)
        return f"plugin, {count} layers by {attention.plugin.file}, kernels by Triton {attention.plugin.triton}"
    return attention.lowering + (
        f", since the plugin could not be had: {attention.fell_back}" if attention.fell_back else ""
    )


def _attention(model: ModelSpec) -> str:
    form = model.attention
    parts: list[str] = [f"plugin for {form.scope}" if form.scope else form.lowering]
    if form.windowed is not None or form.global_ is not None:
        parts.append(f"relative positions as {form.windowed} in windows and {form.global_} in global blocks")
    if form.extra_gflop:
        parts.append(f"{form.extra_gflop:.1f} GFLOP more than with a bias matrix")
    return ", ".join(parts)


def _temperature(model: ModelSpec) -> str:
    temperature = model.temperature
    if temperature.mode == "none":
        return "none: no gates"
    if temperature.mode == "dynamic":
        text = "dynamic: an input of the engine"
    else:
        text = f"folded: cross {temperature.cross:g}, self {temperature.self_attention:g}"
    return text + (f"; {len(temperature.learned)} learned pairs folded as well" if temperature.learned else "")


def _precision(model: ModelSpec, all_decisions: bool) -> Iterator[Section]:
    if all_decisions:
        every = tuple((item.part, str(item.dtype), _largest([item]), item.reason) for item in model.decisions)
        yield Section("Precision, every part", every, ("part", "dtype", "largest value", "why"))
        return
    # The reasons differ in how far each part's values reach; the part that reaches furthest speaks for the others.
    groups: dict[tuple[str, str], list[Decision]] = {}
    for item in model.decisions:
        groups.setdefault((item.dtype, re.sub(r"\d[\d.e+-]*", "", item.reason)), []).append(item)
    rows = tuple((str(len(items)), dtype, _largest(items), _reason(items)) for (dtype, _), items in groups.items())
    yield Section("Precision (--decisions lists every part)", rows, ("parts", "dtype", "largest value", "why"))


def _reason(items: list[Decision]) -> str:
    furthest = max(items, key=lambda item: item.largest or 0.0)
    return furthest.reason if len({item.reason for item in items}) == 1 else f"at most {furthest.reason}"


def _largest(items: Iterable[Decision]) -> str:
    measured = [item.largest for item in items if item.largest is not None]
    return f"{max(measured):.4g}" if measured else "-"


def _engines(manifest: Manifest) -> Iterator[Section]:
    rows = tuple(
        (
            engine.part,
            engine.size or "every",
            _megabytes(manifest.files[engine.file].size_bytes),
            _megabytes(engine.weights_bytes),
            _megabytes(engine.activation_bytes),
            engine.file,
        )
        for engine in manifest.engines
    )
    yield Section("Engines", rows, ("part", "size", "file MB", "weights MB", "activations MB", "file"))
    layers = tuple(
        (f"{engine.part} {engine.size or 'every size'}", str(sum(engine.layers.values())), _most_common(engine.layers))
        for engine in manifest.engines
        if engine.layers
    )
    yield Section("Layers", layers, ("engine", "all", "most frequent types"))


def _most_common(layers: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in Counter(layers).most_common(_LAYER_TYPES_SHOWN))


def _gate(gate: Gate) -> Iterator[Section]:
    rows = tuple(
        (row.subject, row.size, headroom(row.agreement, gate.limits) if row.agreement else f"skipped: {row.skipped}")
        for row in gate.rows
    )
    whole = all(row.agreement for row in gate.rows)
    verdict = ("passed" if whole else "passed as far as it could run") if gate.passed else "FAILED"
    yield Section(
        f"Numeric gate against PyTorch fp32: {verdict}", rows, ("what ran", "size", "share of the limits used")
    )
    yield Section("Violations", tuple(("-", text) for text in gate.violations))


def _repair(repair: Repair) -> Section:
    def change(before: int | None, after: int | None) -> str:
        return f"{_megabytes(before)} -> {_megabytes(after)} MB"

    return Section(
        "Repair",
        (
            (f"now {repair.dtype}", ", ".join(repair.parts)),
            ("engines", change(repair.engine_bytes_before, repair.engine_bytes_after)),
            ("activations", change(repair.activation_bytes_before, repair.activation_bytes_after)),
        ),
    )


def _files(hashes: dict[str, str], sizes: dict[str, int]) -> Section:
    rows = tuple((hashes[name][:_HASH_SHOWN], _megabytes(sizes[name]), name) for name in hashes)
    title = f"Files, {_megabytes(sum(sizes.values()))} MB: every one matches its sha256"
    return Section(title, rows, ("sha256", "MB", "file"))


def _runnable(manifest: Manifest, machine: Machine) -> Iterator[tuple[str, str]]:
    reasons = reasons_not_runnable(manifest, machine)
    for reason in reasons:
        yield "no", f"{reason.came}\nexpected: {reason.expected}\n-> {reason.cure}"
    if not reasons:
        yield "yes", f"{NAMES[manifest.flavour]} {machine.library}"


def _megabytes(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else f"{size_bytes / 1e6:.1f}"
