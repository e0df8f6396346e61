"""Attention nodes in a graph: found, defined by a function, or replaced by standard operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx
from onnx import FunctionProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, helper, numpy_helper

from briges.engines.onnx_graph import HALF_TYPES
from briges.engines.plugin.definition import Form, Steps, write_attention
from briges.engines.plugin.layout import INPUTS, AttentionLayout
from briges.runtime.contracts import PLUGIN_NAME, PLUGIN_NAMESPACE, PLUGIN_VERSION


@dataclass(frozen=True, eq=False)
class AttentionNode:
    """One attention of a graph, with what its shapes and types say. batch, queries, keys: of its token tensors."""

    node: NodeProto
    layout: AttentionLayout
    element_type: int
    batch: int
    queries: int
    keys: int


def attention_nodes(model: ModelProto) -> list[AttentionNode]:
    """All attentions that are still one node, in the order of the graph. Shapes are fixed in every graph of ours."""
    found = [node for node in model.graph.node if is_attention(node)]
    if not found:
        return []
    graph = onnx.shape_inference.infer_shapes(model).graph
    tensors = {value.name: value.type.tensor_type for value in (*graph.input, *graph.value_info, *graph.output)}
    nodes = []
    for node in found:
        query, key = tensors[node.input[0]], tensors[node.input[1]]
        batch, queries, keys = (side.dim_value for side in (*query.shape.dim[:2], key.shape.dim[1]))
        nodes.append(AttentionNode(node, layout_of(node), query.elem_type, batch, queries, keys))
    return nodes


def is_attention(node: NodeProto) -> bool:
    """Whether ``node`` is the plugin's operator."""
    return node.op_type == PLUGIN_NAME and node.domain.partition(".")[0] == PLUGIN_NAMESPACE


def layout_of(node: NodeProto) -> AttentionLayout:
    """The attributes of an attention node."""
    names = AttentionLayout.__dataclass_fields__
    return AttentionLayout(**{item.name: item.i for item in node.attribute if item.name in names})


def runs_as_plugin(attention: AttentionNode) -> bool:
    """Whether the kernels take it: they compute in half and bfloat16 alone."""
    return attention.element_type in HALF_TYPES


def lowered(model: ModelProto, form: Form, chosen: Callable[[AttentionNode], bool]) -> ModelProto:
    """A copy in which the ``chosen`` attentions are written in standard operators, in ``form``.

    The nodes that remain keep their definition; the weights stay in their file.
    """
    lowered_nodes = {}
    units = _units(model)
    for attention in attention_nodes(model):
        if chosen(attention):
            node = attention.node
            steps = Steps(f"{node.name}_", attention.element_type)
            unit = node.input[3] in units
            write_attention(
                steps, list(node.input), node.output[0], attention.layout, form, batch=attention.batch, unit=unit
            )
            lowered_nodes[node.output[0]] = steps.nodes
    result = ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    for node in model.graph.node:
        result.graph.node.extend(lowered_nodes.get(node.output[0], [node]) if is_attention(node) else [node])
    _drop_unused(result)
    define(result)
    return result


def define(model: ModelProto) -> None:
    """Give ``model`` the functions that its attention nodes need, and no others of that name, in place.

    Nodes of different attributes have different functions, told apart by their domain: ONNX's own way of telling them
    apart, overloads, is newer than the ONNX Runtime of Python 3.10. Each node gets the two attributes by which TensorRT
    finds the plugin, whatever its domain is.
    """
    layouts = {}
    for node in model.graph.node:
        if is_attention(node):
            layout = layout_of(node)
            node.domain = _domain(layout)
            for name, text in (("plugin_namespace", PLUGIN_NAMESPACE), ("plugin_version", PLUGIN_VERSION)):
                if not any(item.name == name for item in node.attribute):
                    node.attribute.append(helper.make_attribute(name, text))
            layouts[node.domain] = layout
    forget_definitions(model)
    opset = next(item for item in model.opset_import if not item.domain)
    model.functions.extend(_definition(domain, layout, opset) for domain, layout in layouts.items())
    others = [item for item in model.opset_import if item.domain.partition(".")[0] != PLUGIN_NAMESPACE]
    del model.opset_import[:]
    model.opset_import.extend([*others, *(helper.make_opsetid(domain, 1) for domain in layouts)])


def _definition(domain: str, layout: AttentionLayout, opset: OperatorSetIdProto) -> FunctionProto:
    inputs = list(INPUTS if layout.relative else INPUTS[:4])
    steps = Steps("")
    write_attention(steps, inputs, "output", layout, "plain")
    attributes = [*layout.attributes(), "plugin_namespace", "plugin_version"]
    return helper.make_function(domain, PLUGIN_NAME, inputs, ["output"], steps.nodes, [opset], attributes)


def forget_definitions(model: ModelProto) -> None:
    """Remove the functions, in place: what TensorRT is given, so that no version of it takes one for the plugin."""
    others = [function for function in model.functions if function.name != PLUGIN_NAME]
    del model.functions[:]
    model.functions.extend(others)


def _domain(layout: AttentionLayout) -> str:
    """Such as "briges.12_64_0_768_1536_14_14": the attributes in their order."""
    return ".".join([PLUGIN_NAMESPACE, "_".join(str(number) for number in layout.attributes().values())])


def _units(model: ModelProto) -> set[str]:
    """Names of the constants that are one float32 of value 1."""
    units = set()
    for weight in model.graph.initializer:
        small = weight.data_type == TensorProto.FLOAT and list(weight.dims) == [1]
        if small and not weight.external_data and float(numpy_helper.to_array(weight)[0]) == 1.0:
            units.add(weight.name)
    return units


def _drop_unused(model: ModelProto) -> None:
    used = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    kept = [weight for weight in model.graph.initializer if weight.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
