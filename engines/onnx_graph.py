"""What every pass over a typed ONNX graph needs: its tensors' types, and who writes and reads them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto, TensorProto, helper

from briges.runtime.agreement import Precision
from briges.runtime.errors import BuildError

ELEMENT_TYPES: dict[Precision, int] = {
    "fp32": TensorProto.FLOAT,
    "fp16": TensorProto.FLOAT16,
    "bf16": TensorProto.BFLOAT16,
}
HALF_TYPES = frozenset({ELEMENT_TYPES["fp16"], ELEMENT_TYPES["bf16"]})

# What makes a tensor without computing one: parts of the network begin after these.
SOURCES = frozenset({"Constant", "ConstantOfShape"})


def load_graph(path: Path) -> ModelProto:
    """Read a graph and leave its weights, which may be gigabytes, in their file. Raises BuildError."""
    try:
        return onnx.load(path, load_external_data=False)
    except (DecodeError, OSError) as error:  # gone, where another export has replaced the folder meanwhile
        raise BuildError(
            subject=f"graph {path}",
            came="is not an ONNX file" if path.exists() else "is gone",
            expected="one that `briges export` wrote",
            cure="export the model again with `briges export`",
        ) from error


def element_types(model: ModelProto) -> dict[str, int]:
    """Tensor name -> ONNX element type of every tensor of the graph, inferred where the graph does not say.

    Raises BuildError for a graph with a branch or a loop, which no model of ours has, or with an operator whose output
    type is nowhere stated.
    """
    for node in model.graph.node:
        if any(attribute.type in (attribute.GRAPH, attribute.GRAPHS) for attribute in node.attribute):
            raise _unreadable(node, "has a graph of its own", "a graph without branches and loops")
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info, *graph.output)}
    types |= {weight.name: weight.data_type for weight in graph.initializer}
    for node in graph.node:
        if any(name and not types.get(name) for name in node.output):
            raise _unreadable(node, "gives a tensor of unknown type", "its type in the graph's value_info")
    return types


def written_by(nodes: Iterable[NodeProto]) -> dict[str, int]:
    """Tensor name -> position in ``nodes`` of the node that writes it."""
    return {name: index for index, node in enumerate(nodes) for name in node.output if name}


def read_by(nodes: Iterable[NodeProto]) -> dict[str, list[int]]:
    """Tensor name -> positions of the nodes that read it."""
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        for name in dict.fromkeys(node.input):
            readers.setdefault(name, []).append(index)
    return readers


def cast(source: str, target: str, element_type: int, name: str = "") -> NodeProto:
    """A Cast node."""
    return helper.make_node("Cast", [source], [target], name=name, to=element_type)


def attribute_of(node: NodeProto, name: str) -> onnx.AttributeProto | None:
    """An attribute of ``node``, None where it has none of that name."""
    return next((attribute for attribute in node.attribute if attribute.name == name), None)


def _unreadable(node: NodeProto, came: str, expected: str) -> BuildError:
    return BuildError(
        subject="typed ONNX graph",
        came=f"the node {node.name or node.op_type!r} ({node.op_type}) {came}",
        expected=expected,
        cure="export the model again with `briges export`",
    )
