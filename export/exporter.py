"""Checkpoint in, checked model folder out: ``model.onnx``, its weights and the sidecar ``model.json``."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np

from briges.export.assemble import AssembledModel, assemble, check_network_size, with_taps
from briges.export.attention_form import check_scope, describe_form
from briges.export.checkpoints import WeightFiles
from briges.export.parity import check_parity, reference_depths
from briges.export.precision import apply_precision, decide
from briges.export.presets import find_preset
from briges.export.ranges import recording
from briges.export.to_onnx import OPSET, ContractModel, image_inputs, write_onnx
from briges.runtime import contracts
from briges.runtime.agreement import Precision
from briges.runtime.errors import ExportError, InvalidSizeError
from briges.runtime.files import replacing_folder, sha256_of, write_text
from briges.runtime.photographs import photograph_feeds, reference_key
from briges.runtime.records import to_json
from briges.runtime.sidecar import MODEL_SCHEMA, Decision, Gates, Lowering, ModelSpec, Scope, SizedGraph

_MAX_BATCH = 64


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    source: weight files, or the seed of random weights. sizes: (height, width) in pixels of each graph, empty for the
    preset's own size. attention: "plugin" leaves it as nodes of the plugin's operator, which carry their definition,
    "native" writes it the way TensorRT fuses, "plain" is the literal form. scope: whose attentions the plugin gets.
    Raises UsageError, InvalidSizeError.
    """

    preset: str
    source: WeightFiles | int
    sizes: tuple[tuple[int, int], ...] = ()
    batch: int = 1
    input_dtype: Literal["uint8", "float32"] = "uint8"
    temperature: str = "1.0"
    taps: tuple[int, ...] | None = None
    precision: Precision = "fp32"
    attention: Lowering = "plugin"
    scope: Scope = "all"
    verify: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.batch <= _MAX_BATCH:
            raise InvalidSizeError(
                subject="batch", came=str(self.batch), expected=f"1 to {_MAX_BATCH}", cure="use --batch 1 for latency"
            )
        for height_px, width_px in self.sizes:
            check_network_size(height_px, width_px)
        if len(set(self.sizes)) < len(self.sizes):
            raise InvalidSizeError(
                subject="--size",
                came=", ".join(f"{height}x{width}" for height, width in self.sizes),
                expected="each size once",
                cure="leave the repeated one out",
            )


def export_model(request: ExportRequest, out: Path, on_step: Callable[[str], None]) -> ModelSpec:
    """Export to the folder ``out`` and return its sidecar. ``on_step`` is told what starts.

    The folder appears only after the check passed. Each size costs one PyTorch and one ONNX Runtime inference per
    photograph; the PyTorch model is released before ONNX Runtime loads its copy, so the two never add up in memory.
    Raises CheckpointError, InvalidSizeError, UsageError, ExportError, OutputError, BackendError.
    """
    preset = with_taps(find_preset(request.preset), request.taps)
    check_scope(request.attention, request.scope, preset)
    sizes = request.sizes or ((preset.height_px, preset.width_px),)
    decisions: tuple[Decision, ...] = ()
    references: dict[str, Any] = {}  # what np.savez can be given
    with replacing_folder(out, marker=contracts.SIDECAR_FILE) as folder:
        for number, (height_px, width_px) in enumerate(sizes):
            on_step("reading weights" if isinstance(request.source, WeightFiles) else "drawing random weights")
            assembled = assemble(
                preset,
                request.source,
                height_px=height_px,
                width_px=width_px,
                temperature=request.temperature,
            )
            if number == 0:
                spec = _describe(request, assembled, sizes)
            graph = spec.graphs[number]
            feeds = photograph_feeds(spec, graph) if request.verify else []
            with _torch_errors():
                with recording(assembled.model) as ranges:
                    depths = reference_depths(ContractModel(assembled.model), feeds, on_step)
                references |= {reference_key(graph, index): depth for index, depth in enumerate(depths)}
                if request.precision != "fp32":
                    # One table for all sizes: they share their weights.
                    decisions = decisions or decide(assembled.model, ranges, request.precision)
                    apply_precision(assembled.model, decisions, request.precision)
                on_step(f"tracing {graph.size} to ONNX")
                write_onnx(ContractModel(assembled.model, request.precision), spec, graph, folder)
            del assembled
            gc.collect()  # the traced program holds the weights in reference cycles
            # ONNX Runtime has no bf16 on a CPU; the builder's gate computes it another way.
            if feeds and request.precision != "bf16":
                agreement = check_parity(folder, spec, graph, feeds, depths, on_step)
                spec = _with_graph(spec, number, dataclasses.replace(graph, agreement=agreement))
        if references:
            np.savez(folder / contracts.REFERENCE_FILE, **references)
        files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
        spec = dataclasses.replace(spec, decisions=decisions, files=files)
        write_text(folder / contracts.SIDECAR_FILE, to_json(spec))
    return spec


@contextlib.contextmanager
def _torch_errors() -> Iterator[None]:
    """Say as an ExportError what torch and its exporter refuse: mostly a size that does not fit into memory."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ExportError(
            subject="PyTorch",
            came=reason,
            expected="to run and trace the model in this machine's memory",
            cure="export a smaller --height and --width, --batch or preset; if memory is not short, report this",
        ) from error


def _describe(request: ExportRequest, assembled: AssembledModel, sizes: tuple[tuple[int, int], ...]) -> ModelSpec:
    """The sidecar, as far as it is known before anything is written."""
    preset = assembled.preset
    graphs = tuple(
        SizedGraph(
            file=contracts.MODEL_FILE if len(sizes) == 1 else f"model-{height_px}x{width_px}.onnx",
            inputs=image_inputs(preset, height_px=height_px, width_px=width_px, dtype=request.input_dtype),
            agreement=None,
        )
        for height_px, width_px in sizes
    )
    return ModelSpec(
        schema_version=MODEL_SCHEMA,
        preset=preset.name,
        precision=request.precision,
        decisions=(),
        attention=describe_form(request.attention, request.scope, preset),
        opset=OPSET,
        batch=request.batch,
        taps=preset.geometry.taps,
        graphs=graphs,
        gates=Gates(preset.gate_heads, preset.aligner) if preset.gated else None,
        temperature=assembled.temperature,
        weights=assembled.weights,
        reference=contracts.REFERENCE_FILE if request.verify else None,
        versions=tool_versions(),
        files={},
    )


def tool_versions() -> dict[str, str]:
    """The packages that determine what an export gives."""
    return {name: metadata.version(name) for name in ("briges-trt", "torch", "onnx", "onnxscript")}


def _with_graph(spec: ModelSpec, number: int, graph: SizedGraph) -> ModelSpec:
    return dataclasses.replace(spec, graphs=(*spec.graphs[:number], graph, *spec.graphs[number + 1 :]))
