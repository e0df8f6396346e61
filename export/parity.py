"""PyTorch against ONNX Runtime on real photographs: the check every export passes before it is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from briges.export.to_onnx import ContractModel
from briges.runtime import contracts
from briges.runtime.errors import ExportError
from briges.runtime.manifest import ModelSpec, Parity
from briges.runtime.onnx_backend import OnnxBackend
from briges.runtime.photographs import load_photographs
from briges.runtime.preprocess import fill_depth_input, fill_semantic_input, place

MAX_RELATIVE_ERROR = 1e-4

# A dynamic temperature is checked at two values: a graph that ignores its input would pass at one.
_TEMPERATURES = (1.0, 3.0)

Feed = dict[str, NDArray[Any]]


def photograph_feeds(spec: ModelSpec) -> list[Feed]:
    """One set of input arrays per photograph, as the runtime prepares them; a batch holds different photographs."""
    photographs = load_photographs()
    feeds = []
    for index in range(len(photographs)):
        feed: Feed = {item.name: np.empty(item.shape(spec.batch), item.dtype) for item in spec.inputs}
        for slot in range(spec.batch):
            photograph = photographs[(index + slot) % len(photographs)]
            placement = place(photograph.shape[0], photograph.shape[1], spec.image, "pad")
            fill_depth_input(photograph, spec.image, placement, feed[contracts.IMAGE][slot])
            for semantic in spec.inputs[1:]:
                fill_semantic_input(photograph, spec.image, semantic, placement, feed[semantic.name][slot])
        if spec.temperature.mode == "dynamic":
            feed[contracts.TEMPERATURE] = np.full(1, _TEMPERATURES[index % len(_TEMPERATURES)], np.float32)
        feeds.append(feed)
    return feeds


def reference_depths(
    model: ContractModel, feeds: list[Feed], on_step: Callable[[str], None]
) -> list[NDArray[np.float32]]:
    """What PyTorch says: float32 [B, 1, H, W] per feed. ``on_step`` is told what starts.

    Raises ExportError for depth that is constant, or not finite.
    """
    depths = []
    with torch.inference_mode():
        for number, feed in enumerate(feeds, start=1):
            on_step(f"running PyTorch on photograph {number} of {len(feeds)}")
            depth = model(**{name: torch.from_numpy(array) for name, array in feed.items()}).numpy()
            _require_alive(depth)
            depths.append(depth)
    return depths


def check_parity(
    path: Path,
    spec: ModelSpec,
    feeds: list[Feed],
    references: list[NDArray[np.float32]],
    on_step: Callable[[str], None],
) -> Parity:
    """Run ``path`` on ONNX Runtime and compare: the largest max|a - b| / max|a| of all feeds.

    Raises ExportError if it exceeds MAX_RELATIVE_ERROR, or if an output is not finite or constant: a flat depth map
    agrees with anything.
    """
    worst = 0.0
    backend = OnnxBackend(path, spec, "cpu", None)
    try:
        for number, (feed, reference) in enumerate(zip(feeds, references, strict=True), start=1):
            on_step(f"running ONNX Runtime on photograph {number} of {len(feeds)}")
            for name, array in feed.items():
                backend.inputs[name][...] = array
            backend.output.fill(np.nan)
            backend.run()
            worst = float(np.maximum(worst, relative_error(backend.output, reference)))  # keeps a NaN, max() may not
    finally:
        backend.close()
    if not worst <= MAX_RELATIVE_ERROR:  # NaN must fail too
        raise ExportError(
            subject="exported model",
            came=f"differs from PyTorch by {worst:.2e} relative on real photographs",
            expected=f"at most {MAX_RELATIVE_ERROR:.0e}",
            cure="nothing was kept; report this with the command and the preset",
        )
    return Parity(worst, MAX_RELATIVE_ERROR, len(feeds))


def relative_error(output: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """max |output - reference| / max |reference|; NaN if the output is not finite. Raises ExportError as above."""
    _require_alive(reference)
    return float(np.abs(output - reference).max() / np.abs(reference).max())


def _require_alive(depth: NDArray[np.float32]) -> None:
    """Depth that agrees with anything proves nothing."""
    if not np.isfinite(depth).all():
        came, cure = "gives NaN or infinite depth in PyTorch itself", "its weights overflow: take another checkpoint"
    elif float(np.ptp(depth)) == 0.0:
        came, cure = f"gives the constant depth {float(depth.flat[0])}", "its weights are dead: take another checkpoint"
    else:
        return
    raise ExportError(subject="model", came=f"{came} for a photograph", expected="finite depth that varies", cure=cure)
