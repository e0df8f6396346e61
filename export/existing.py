"""Recognising a model folder that an export would only make again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from briges.export.assemble import with_taps
from briges.export.attention_form import describe_form
from briges.export.checkpoints import WeightFiles
from briges.export.exporter import ExportRequest, tool_versions
from briges.export.presets import find_preset
from briges.export.temperature import parse_temperature
from briges.export.to_onnx import OPSET
from briges.runtime.errors import BundleError
from briges.runtime.files import sha256_of
from briges.runtime.sidecar import ModelSpec, read_model


def existing_model(request: ExportRequest, out: Path) -> ModelSpec | None:
    """The sidecar of ``out`` if that is an undamaged export of this very request by these very versions, else None.

    Weight files are told by their checksums. Raises UnknownNameError, UsageError.
    """
    try:
        spec = read_model(out)
    except BundleError:
        return None
    preset = with_taps(find_preset(request.preset), request.taps)
    sizes = request.sizes or ((preset.height_px, preset.width_px),)
    temperature = parse_temperature(request.temperature, gated=preset.gated)
    same = (
        spec.preset == preset.name
        and [(graph.image.height_px, graph.image.width_px) for graph in spec.graphs] == list(sizes)
        and all(graph.image.dtype == request.input_dtype for graph in spec.graphs)
        and (spec.batch, spec.taps, spec.opset) == (request.batch, preset.geometry.taps, OPSET)
        and (spec.precision, spec.attention)
        == (request.precision, describe_form(request.attention, request.scope, preset))
        and dataclasses.replace(spec.temperature, learned=()) == temperature
        and (spec.reference is not None) == request.verify
        and spec.versions == tool_versions()
        and _same_weights(spec, request.source)
    )
    return spec if same else None


def _same_weights(spec: ModelSpec, source: WeightFiles | int) -> bool:
    if isinstance(source, int):
        return spec.weights.random_seed == source
    given = (source.checkpoint, source.depth_weights, source.semantic_weights)
    if not all(path is None or path.is_file() for path in given):
        return False  # the export tells what is wrong with it
    return {file.sha256 for file in spec.weights.files} == {sha256_of(path) for path in given if path is not None}
