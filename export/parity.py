"""PyTorch against ONNX Runtime on real photographs: what every export goes through before it is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from briges.export.to_onnx import ContractModel
from briges.runtime import contracts
from briges.runtime.agreement import LIMITS, Agreement, compare, violations, worst
from briges.runtime.errors import ExportError
from briges.runtime.manifest import Engine, Tensor
from briges.runtime.onnx_backend import OnnxBackend, open_sessions
from briges.runtime.photographs import Feed
from briges.runtime.sidecar import ModelSpec, SizedGraph


def reference_depths(
    model: ContractModel, feeds: list[Feed], on_step: Callable[[str], None]
) -> list[NDArray[np.float32]]:
    """What PyTorch says: float32 [B, 1, H, W] per feed. ``on_step`` is told what starts.

    Raises ExportError for depth that is constant, or not finite.
    """
    depths = []
    with torch.no_grad():
        for number, feed in enumerate(feeds, start=1):
            on_step(f"running PyTorch on photograph {number} of {len(feeds)}")
            depth = model(**{name: torch.from_numpy(array) for name, array in feed.items()}).numpy()
            _require_alive(depth)
            depths.append(depth)
    return depths


def check_parity(
    folder: Path,
    spec: ModelSpec,
    graph: SizedGraph,
    feeds: list[Feed],
    references: list[NDArray[np.float32]],
    on_step: Callable[[str], None],
) -> Agreement:
    """Run ``graph`` on ONNX Runtime and compare with fp32 PyTorch, the worst of all feeds.

    ONNX Runtime computes a half graph in float32 on a CPU, so this shows that the graph is the model; what rounding
    and range of half precision do to it is the builder's gate. Raises ExportError outside the limits of the model's
    precision. Not for bf16, which ONNX Runtime cannot run.
    """
    backend = OnnxBackend((whole_model(spec, graph),), open_sessions(folder, (whole_model(spec, graph),), "cpu", None))
    agreements = []
    try:
        for number, (feed, reference) in enumerate(zip(feeds, references, strict=True), start=1):
            on_step(f"running ONNX Runtime on photograph {number} of {len(feeds)}")
            for name, array in feed.items():
                backend.inputs[name][...] = array
            backend.run()
            agreements.append(compare(backend.output, reference))
    finally:
        backend.close()
    agreement, limits = worst(agreements), LIMITS[spec.precision]
    if found := violations(agreement, limits):
        raise ExportError(
            subject="exported model",
            came=f"differs from PyTorch on real photographs: {'; '.join(found)}",
            expected="depth within the limits of its precision",
            cure="nothing was kept; report this with the command and the preset",
        )
    return agreement


def whole_model(spec: ModelSpec, graph: SizedGraph) -> Engine:
    """``graph`` as an engine of its own, the form that backends take."""
    inputs = [Tensor(item.name, item.dtype, item.shape(spec.batch)) for item in graph.inputs]
    if spec.temperature.mode == "dynamic":
        inputs.append(Tensor(contracts.TEMPERATURE, "float32", (1,)))
    depth = Tensor(contracts.DEPTH, "float32", (spec.batch, 1, graph.image.height_px, graph.image.width_px))
    return Engine("model", graph.size, graph.file, "", tuple(inputs), (depth,), None, None, {})


def _require_alive(depth: NDArray[np.float32]) -> None:
    """Depth that agrees with anything proves nothing."""
    if not np.isfinite(depth).all():
        came, cure = "gives NaN or infinite depth in PyTorch itself", "its weights overflow: take another checkpoint"
    elif float(np.ptp(depth)) == 0.0:
        came, cure = f"gives the constant depth {float(depth.flat[0])}", "its weights are dead: take another checkpoint"
    else:
        return
    raise ExportError(subject="model", came=f"{came} for a photograph", expected="finite depth that varies", cure=cure)
