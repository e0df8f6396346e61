"""Small real networks on the packaged photographs: measured in fp32, then typed as the exporter types them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from support import manifests
from support.checkpoints import SMALL

from briges.export.assemble import assemble
from briges.export.model import DepthModel
from briges.export.parity import reference_depths
from briges.export.precision import apply_precision, decide
from briges.export.presets import Preset
from briges.export.ranges import Ranges, recording
from briges.export.to_onnx import ContractModel, image_inputs, write_onnx
from briges.runtime.agreement import Agreement, Precision, compare, worst
from briges.runtime.photographs import Feed, photograph_feeds
from briges.runtime.sidecar import Decision, ModelSpec, SizedGraph

Depths = Sequence[NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Measured:
    """A network in fp32, what it made of the photographs and how large its tensors became.

    ``type`` turns the network itself into the typed one, so it can be called once.
    """

    model: DepthModel
    spec: ModelSpec
    graph: SizedGraph
    feeds: list[Feed]
    depths: Depths
    ranges: Ranges

    def decide(self, precision: Precision = "fp16", *, by_range: bool = True) -> tuple[Decision, ...]:
        """The precision table; not ``by_range``: as if nothing had been measured."""
        return decide(self.model, self.ranges if by_range else {}, precision)

    def type(self, precision: Precision = "fp16", *, by_range: bool = True) -> ContractModel:
        """The typed network."""
        apply_precision(self.model, self.decide(precision, by_range=by_range), precision)
        return ContractModel(self.model, precision)

    def write(self, typed: ContractModel, folder: Path) -> None:
        """Write the ONNX graph of ``typed`` into ``folder``."""
        folder.mkdir()
        write_onnx(typed, self.spec, self.graph, folder)

    def agreement(self, depths: Depths) -> Agreement:
        """How near ``depths`` are to what the network gave in fp32."""
        return worst(compare(ours, theirs) for ours, theirs in zip(depths, self.depths, strict=True))


def measure(
    plant: Callable[[DepthModel], None] = lambda model: None, preset: Preset = SMALL, temperature: str = "1.0"
) -> Measured:
    """Measure ``preset`` with seeded weights, in which ``plant`` may do harm before it runs."""
    size = {"height_px": preset.height_px, "width_px": preset.width_px}
    made = assemble(preset, 0, **size, temperature=temperature)
    graph = SizedGraph("model.onnx", image_inputs(preset, **size, dtype="uint8"), None)
    spec = manifests.model(preset=preset.name, graphs=(graph,), temperature=made.temperature)
    with torch.no_grad():
        plant(made.model)
    feeds = photograph_feeds(spec, graph)
    with recording(made.model) as ranges:
        depths = reference_depths(ContractModel(made.model), feeds, lambda step: None)
    return Measured(made.model, spec, graph, feeds, depths, ranges)


def run_torch(model: ContractModel, feeds: Sequence[Feed]) -> Depths:
    """What PyTorch makes of the photographs, finite or not."""
    with torch.no_grad():
        return [model(**{name: torch.from_numpy(array) for name, array in feed.items()}).numpy() for feed in feeds]
