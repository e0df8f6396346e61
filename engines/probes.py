"""Looks at tensors inside a graph while it runs, and keeps so little of them that memory stays as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from briges.engines.onnx_run import Outputs, open_graph
from briges.runtime.photographs import Feed

# Of a sampled tensor one element in this many is kept: prime to the widths of all networks, so that none of their
# channels is missed.
_STRIDE = 101

_CONSTANTS = {"flat": -1, "first": 0, "last": np.iinfo(np.int64).max, "axis": 0, "stride": _STRIDE}


def observe(
    model: ModelProto, folder: Path, feeds: Sequence[Feed], sampled: Mapping[str, str], ranged: Mapping[str, str]
) -> list[Outputs]:
    """Run the emulated graph ``model``, to which outputs are added, on every feed.

    sampled, ranged: label -> name of a float32 tensor. The outputs added are "LABEL/samples", float32 [n], and
    "LABEL/max" and "LABEL/min", float32 []. Raises BackendError.
    """
    probes: dict[str, list[NodeProto]] = {}
    for label, tensor in sampled.items():
        probes.setdefault(tensor, []).extend(_sample(tensor, f"{label}/samples"))
    for label, tensor in ranged.items():
        probes.setdefault(tensor, []).extend(_range(tensor, f"{label}/max", f"{label}/min"))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        # Right where the tensor is written: at the end of the graph it would have to live until then.
        model.graph.node.extend([node, *(probe for output in node.output for probe in probes.get(output, ()))])
    model.graph.initializer.extend(
        helper.make_tensor(_constant(name), TensorProto.INT64, [1], [value]) for name, value in _CONSTANTS.items()
    )
    kept = [f"{label}/samples" for label in sampled]
    kept += [f"{label}/{end}" for label in ranged for end in ("max", "min")]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in kept)
    run = open_graph(model, folder, literal=True)
    return [run(feed) for feed in feeds]


def _sample(tensor: str, output: str) -> Iterator[NodeProto]:
    yield helper.make_node("Reshape", [tensor, _constant("flat")], [f"{output}/flat"])  # [...] -> [n]
    bounds = [_constant(name) for name in ("first", "last", "axis", "stride")]
    yield helper.make_node("Slice", [f"{output}/flat", *bounds], [output])


def _range(tensor: str, largest: str, least: str) -> Iterator[NodeProto]:
    yield helper.make_node("ReduceMax", [tensor], [largest], keepdims=0)
    yield helper.make_node("ReduceMin", [tensor], [least], keepdims=0)


def _constant(name: str) -> str:
    return f"briges.probe/{name}"
