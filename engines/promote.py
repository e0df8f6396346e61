"""Puts chosen nodes of a typed graph into another precision; the weights stay in half in their file."""

from __future__ import annotations

from collections.abc import Collection

from onnx import ModelProto, ValueInfoProto

from briges.engines.onnx_graph import ELEMENT_TYPES, HALF_TYPES, SOURCES, attribute_of, cast, element_types, read_by
from briges.runtime.agreement import Precision

# TensorRT-RTX 1.7 finds no type for one in bfloat16 (docs/adr/0008): it stays in half, whatever part it is of.
_NOT_IN_BF16 = frozenset({"ConvTranspose"})


def wide_name(tensor: str, dtype: Precision) -> str:
    """What a half tensor is called where ``promoted`` computes it in ``dtype``."""
    return f"{tensor}/{dtype}"


def promoted(model: ModelProto, nodes: Collection[int], dtype: Precision) -> ModelProto:
    """A graph in which the nodes at the positions ``nodes`` compute in ``dtype`` what they computed in half.

    Half tensors are cast where they enter these nodes, weights included, and back to half where they leave for nodes
    that want half. Between two chosen nodes nothing is cast, and a Cast node that follows one reads the wide tensor:
    what overflows half survives up to there. ``model``, as it was exported, stays untouched.
    Raises BuildError for a graph whose types cannot be told.
    """
    target, types = ELEMENT_TYPES[dtype], element_types(model)
    narrow = {name for name, kind in types.items() if kind in HALF_TYPES and kind != target}
    old = model.graph.node
    kept = SOURCES | (_NOT_IN_BF16 if dtype == "bf16" else frozenset())
    chosen = {index for index in nodes if old[index].op_type not in kept and not narrow.isdisjoint(old[index].output)}
    wide = {name for index in chosen for name in old[index].output if name in narrow}
    readers, results = read_by(old), {output.name for output in model.graph.output}
    wanted_narrow = {
        name
        for name in wide
        if name in results or any(i not in chosen and old[i].op_type != "Cast" for i in readers.get(name, ()))
    }
    made = ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    add = made.graph.node.append
    for index, node in enumerate(old):
        if index in chosen:
            for slot, name in enumerate(node.input):
                if name in narrow and name not in wide:
                    wide.add(name)
                    add(cast(name, wide_name(name, dtype), target, f"{node.name}_input{slot}_to_{dtype}"))
        add(node)
        copied = made.graph.node[-1]
        if index in chosen or node.op_type == "Cast":
            copied.input[:] = [wide_name(name, dtype) if name in wide else name for name in node.input]
        if index in chosen:
            copied.output[:] = [wide_name(name, dtype) if name in narrow else name for name in node.output]
            if (to := attribute_of(copied, "to")) is not None:
                to.i = target
            for slot, name in enumerate(node.output):
                if name in wanted_narrow:
                    add(cast(wide_name(name, dtype), name, types[name], f"{node.name}_output{slot}_from_{dtype}"))
    _retype(made, wide, dtype)
    return made


def _retype(made: ModelProto, wide: set[str], dtype: Precision) -> None:
    """Bring the graph's notes on its tensors up to date."""
    values: list[ValueInfoProto] = []
    written = {name for node in made.graph.node for name in node.output}
    for value in made.graph.value_info:
        if value.name in wide:
            copied = ValueInfoProto()
            copied.CopyFrom(value)
            copied.name = wide_name(value.name, dtype)
            copied.type.tensor_type.elem_type = ELEMENT_TYPES[dtype]
            values.append(copied)
        if value.name in written:
            values.append(value)
    del made.graph.value_info[:]
    made.graph.value_info.extend(values)
