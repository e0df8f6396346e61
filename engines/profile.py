"""What every part of a network does to its tensors in half precision, beside the same network in a wider one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from briges.engines.blocks import Parts
from briges.engines.gate import Depth
from briges.engines.onnx_graph import ELEMENT_TYPES, HALF_TYPES, SOURCES, element_types, read_by
from briges.engines.onnx_run import Outputs
from briges.engines.probes import observe
from briges.engines.promote import promoted, wide_name
from briges.engines.rounding import emulated
from briges.runtime import contracts
from briges.runtime.agreement import Precision
from briges.runtime.photographs import Feed

_FLOATING = HALF_TYPES | {ELEMENT_TYPES["fp32"]}
_LARGEST = {ELEMENT_TYPES["fp16"]: 65504.0, ELEMENT_TYPES["bf16"]: 3.38e38}


@dataclass(frozen=True, eq=False)
class Profile:
    """The depths of both networks per photograph, and the parts that compute in half, the most suspicious first.

    The first ``certain`` suspects write or read a tensor whose values half cannot hold.
    """

    half_depths: tuple[Depth, ...]
    wide_depths: tuple[Depth, ...]
    suspects: tuple[str, ...]
    certain: int


@dataclass(frozen=True)
class _Flow:
    """Tensor of floating point -> its element type, the part that computes it, and the parts that read it."""

    types: dict[str, int]
    writer: dict[str, str]
    readers: dict[str, frozenset[str]]

    @property
    def half(self) -> list[str]:
        """The half tensors."""
        return [name for name, kind in self.types.items() if kind in HALF_TYPES]

    @property
    def leaving(self) -> list[str]:
        """The tensors that pass from one part to another."""
        return [name for name, part in self.writer.items() if self.readers[name] - {part}]


def profile(model: ModelProto, folder: Path, parts: Parts, feeds: Sequence[Feed], dtype: Precision) -> Profile:
    """Run ``model`` as it is and with every part in ``dtype``, once per photograph, and compare what leaves each part.

    Of the tensors only samples and magnitudes are kept: the memory is that of one inference.
    Raises BackendError, BuildError.
    """
    flow = _flow_of(model, parts)
    every = [index for members in parts.values() for index in members]
    half = observe(emulated(model), folder, feeds, {name: name for name in flow.leaving}, {})
    wide_names = {name: wide_name(name, dtype) for name in flow.half}
    leaving = {name: wide_names.get(name, name) for name in flow.leaving}
    wide = observe(emulated(promoted(model, every, dtype)), folder, feeds, leaving, wide_names)

    in_half = {flow.writer[name] for name in flow.half}
    computing = [part for part in parts if part in in_half]
    overflowing = _overflowing(flow, wide)
    certain = [part for part in computing if part in overflowing]
    growth = _growth(flow, half, wide)
    # A stable sort: parts whose error grows alike stay in the order of the network, the first NaN before its heirs.
    others = sorted((part for part in computing if part not in overflowing), key=lambda part: -growth[part])
    depths = [tuple(run[contracts.DEPTH] for run in runs) for runs in (half, wide)]
    return Profile(depths[0], depths[1], (*certain, *others), len(certain))


def _flow_of(model: ModelProto, parts: Parts) -> _Flow:
    types, nodes = element_types(model), model.graph.node
    home = {index: part for part, members in parts.items() for index in members}
    writer = {
        name: home[index]
        for index, node in enumerate(nodes)
        for name in node.output
        if types.get(name) in _FLOATING and node.op_type not in SOURCES
    }
    found = read_by(nodes)
    readers = {name: frozenset(home[index] for index in found.get(name, ())) for name in writer}
    return _Flow({name: types[name] for name in writer}, writer, readers)


def _overflowing(flow: _Flow, wide: Sequence[Outputs]) -> set[str]:
    """The parts that compute a tensor with values beyond its half type, and those that would be given it in half."""
    concerned = set()
    for name in flow.half:
        largest = max(float(np.abs(run[f"{name}/{end}"])) for run in wide for end in ("max", "min"))
        if not largest <= _LARGEST[flow.types[name]]:
            concerned |= {flow.writer[name], *flow.readers[name]}
    return concerned


def _growth(flow: _Flow, half: Sequence[Outputs], wide: Sequence[Outputs]) -> dict[str, float]:
    """By how much the relative error of what leaves a part exceeds that of what enters it."""
    entering, leaving = dict.fromkeys(flow.writer.values(), 0.0), dict.fromkeys(flow.writer.values(), 0.0)
    for name in flow.leaving:
        error = max(_distance(a[f"{name}/samples"], b[f"{name}/samples"]) for a, b in zip(half, wide, strict=True))
        part = flow.writer[name]
        leaving[part] = max(leaving[part], error)
        for reader in flow.readers[name] - {part}:
            entering[reader] = max(entering.get(reader, 0.0), error)
    return {part: leaving[part] - entering[part] if np.isfinite(entering[part]) else 0.0 for part in leaving}


def _distance(values: NDArray[Any], reference: NDArray[Any]) -> float:
    if not np.isfinite(values).all():
        return float("inf")
    return float(np.linalg.norm(values - reference)) / (float(np.linalg.norm(reference)) or 1.0)
