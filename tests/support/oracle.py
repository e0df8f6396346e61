"""The oracle of half precision: a typed graph may be off by twice what plain half PyTorch is off by, and no more.

"Plain" is every weight and every operator in half, as ``model.half()`` gives it, with no island anywhere. What the
typed graph does is computed as the builder's gate computes it: on the exported file, with emulated rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from support.typed import Depths, run_torch

from briges.engines.gate import open_depth
from briges.engines.onnx_graph import load_graph
from briges.export.model import DepthModel
from briges.export.precision import TORCH_DTYPES
from briges.export.to_onnx import ContractModel
from briges.runtime.agreement import Agreement, compare, worst
from briges.runtime.photographs import photograph_feeds, read_references
from briges.runtime.sidecar import read_model

FACTOR = 2.0
_MEASURES = ("max_relative_error", "relative_l2", "aligned_deviation")


@dataclass(frozen=True)
class Verdict:
    """Both errors against fp32 PyTorch on the same photographs."""

    typed: Agreement
    plain: Agreement

    def headroom(self) -> dict[str, float]:
        """Measure -> how many times the typed graph's error fits into what is allowed; 1 and more passes."""
        assert self.typed.finite
        assert self.plain.finite
        return {name: FACTOR * getattr(self.plain, name) / getattr(self.typed, name) for name in _MEASURES}

    def check(self) -> None:
        """Fail unless the typed graph is inside what is allowed; print the headroom."""
        for name, factor in self.headroom().items():
            ours, theirs = getattr(self.typed, name), getattr(self.plain, name)
            print(f"{name}: typed {ours:.2e}, plain half {theirs:.2e}, headroom {factor:.1f}")
        assert min(self.headroom().values()) >= 1


def consult(folder: Path, plain: DepthModel) -> Verdict:
    """Judge the exported model in ``folder``, of one size; ``plain``: its network in fp32, to be turned into half."""
    spec = read_model(folder)
    graph = spec.graphs[0]
    feeds, references = photograph_feeds(spec, graph), read_references(folder, spec, graph)
    run = open_depth(load_graph(folder / graph.file), folder, spec.precision)
    typed = [run(feed) for feed in feeds]
    half = ContractModel(plain.to(TORCH_DTYPES[spec.precision]), spec.precision)
    return Verdict(_error(typed, references), _error(run_torch(half, feeds), references))


def _error(depths: Depths, references: Depths) -> Agreement:
    return worst(compare(ours, theirs) for ours, theirs in zip(depths, references, strict=True))
