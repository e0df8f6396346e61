"""Checkpoint in, checked model folder out: ``model.onnx``, its weights and the sidecar ``model.json``."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from briges.export.assemble import AssembledModel, assemble, with_taps
from briges.export.checkpoints import WeightFiles
from briges.export.parity import check_parity, photograph_feeds, reference_depths
from briges.export.presets import find_preset
from briges.export.to_onnx import OPSET, ContractModel, image_inputs, write_onnx
from briges.runtime import contracts
from briges.runtime.errors import ExportError, InvalidSizeError
from briges.runtime.files import replacing_folder, sha256_of, write_text
from briges.runtime.manifest import MODEL_SCHEMA, Gates, ModelSpec
from briges.runtime.records import to_json

_MAX_BATCH = 64


@dataclass(frozen=True)
class ExportRequest:
    """What to export. ``source``: weight files, or the seed of random weights. None means the preset's own value."""

    preset: str
    source: WeightFiles | int
    height_px: int | None = None
    width_px: int | None = None
    batch: int = 1
    input_dtype: Literal["uint8", "float32"] = "uint8"
    temperature: str = "1.0"
    taps: tuple[int, ...] | None = None
    precision: Literal["fp32"] = "fp32"
    verify: bool = True


def export_model(request: ExportRequest, out: Path, on_step: Callable[[str], None]) -> ModelSpec:
    """Export to the folder ``out`` and return its sidecar. ``on_step`` is told what starts.

    The folder appears only after the check passed. The check costs one PyTorch and one ONNX Runtime inference per
    photograph; the PyTorch model is released before ONNX Runtime loads its copy, so the two never add up in memory.
    Raises CheckpointError, InvalidSizeError, UsageError, ExportError, OutputError, BackendError.
    """
    preset = with_taps(find_preset(request.preset), request.taps)
    if not 1 <= request.batch <= _MAX_BATCH:
        raise InvalidSizeError(
            subject="batch", came=str(request.batch), expected=f"1 to {_MAX_BATCH}", cure="use --batch 1 for latency"
        )
    on_step("reading weights" if isinstance(request.source, WeightFiles) else "drawing random weights")
    with replacing_folder(out, marker=contracts.SIDECAR_FILE) as folder:
        assembled = assemble(
            preset,
            request.source,
            height_px=preset.height_px if request.height_px is None else request.height_px,
            width_px=preset.width_px if request.width_px is None else request.width_px,
            temperature=request.temperature,
        )
        spec = _describe(request, assembled)
        feeds = photograph_feeds(spec) if request.verify else []
        model = ContractModel(assembled.model).eval()
        del assembled
        with _torch_errors():
            references = reference_depths(model, feeds, on_step)
            on_step("tracing to ONNX")
            write_onnx(model, spec, folder)
        del model
        gc.collect()  # the traced program holds the weights in reference cycles
        if feeds:
            parity = check_parity(folder / contracts.MODEL_FILE, spec, feeds, references, on_step)
            spec = dataclasses.replace(spec, parity=parity)
        names = (contracts.MODEL_FILE, contracts.WEIGHTS_FILE)
        spec = dataclasses.replace(spec, files={name: sha256_of(folder / name) for name in names})
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


def _describe(request: ExportRequest, assembled: AssembledModel) -> ModelSpec:
    """The sidecar, as far as it is known before anything is written."""
    preset = assembled.preset
    height_px, width_px = assembled.model.head.output_size
    inputs = image_inputs(preset, height_px=height_px, width_px=width_px, dtype=request.input_dtype)
    return ModelSpec(
        schema_version=MODEL_SCHEMA,
        preset=preset.name,
        precision=request.precision,
        opset=OPSET,
        batch=request.batch,
        taps=preset.geometry.taps,
        inputs=inputs,
        gates=Gates(preset.gate_heads, preset.aligner) if preset.gated else None,
        temperature=assembled.temperature,
        weights=assembled.weights,
        parity=None,
        versions={name: metadata.version(name) for name in ("briges-trt", "torch", "onnx", "onnxscript")},
        files={},
    )
