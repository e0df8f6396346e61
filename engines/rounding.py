"""A typed graph rewritten so that a CPU shows what its types do: overflow, rounding, NaN.

ONNX Runtime has no half-precision kernels for the CPU. It runs a half graph in float32 and drops the casts between
neighbours even with every optimisation off, so that a product beyond 65504 which the next node scales down comes out
finite there, and infinite on every GPU; a bfloat16 graph does not run at all. What it does keep is a float32 graph in
which every half tensor is cast to its type and back where it is written, and that is what is made here.

Against an engine this is pessimistic where TensorRT fuses: a fused attention keeps its logits, and a chain of
pointwise operators its steps, in float32 or in registers. It is optimistic inside an operator: sums of products are
float32 here, while a kernel may add up in half.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, inliner, numpy_helper

from briges.engines.onnx_graph import HALF_TYPES, attribute_of, cast, element_types
from briges.runtime.contracts import PLUGIN_NAME

# Their outputs are numbers that were inputs, or zero, or an input's negative: rounded already.
# fmt: off
_EXACT = frozenset({
    "Abs", "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "GlobalMaxPool",
    "Identity", "Max", "MaxPool", "Min", "Neg", "Relu", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze", "Where",
})
# fmt: on
_TYPE_ATTRIBUTES = ("to", "dtype")


def emulated(model: ModelProto) -> ModelProto:
    """The float32 graph that rounds as ``model``, of any mixture of float32, float16 and bfloat16, does.

    Tensors keep their names; half inputs and outputs become float32, and what is fed to such an input must be a half
    value already. Half weights stay where they are, external files included, and are cast up in the graph.
    An attention that is one node stays one: as in the plugin's kernel, its logits and sums are float32 and only its
    result is rounded. Raises BuildError for a graph whose types cannot be told.
    """
    # Copies the graph either way: the inliner gives a new one.
    kept = [(function.domain, function.name) for function in model.functions if function.name == PLUGIN_NAME]
    typed = inliner.inline_selected_functions(model, kept, exclude=True)
    _open_normalizations(typed)
    types = element_types(typed)
    graph = typed.graph
    half_weights = {weight.name for weight in graph.initializer if weight.data_type in HALF_TYPES}
    for weight in graph.initializer:
        if weight.name in half_weights:
            weight.name = _half(weight.name)
    nodes = list(_rounded(graph.node, types, half_weights))
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type in HALF_TYPES:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return typed


def _half(name: str) -> str:
    return f"{name}/half"


def _rounded(nodes: Iterable[NodeProto], types: dict[str, int], half_weights: set[str]) -> Iterator[NodeProto]:
    waiting = set(half_weights)
    for node in nodes:
        for name in node.input:
            if name in waiting:
                # Not before it is needed: ONNX Runtime would hold every weight in float32 at once.
                waiting.remove(name)
                yield cast(_half(name), name, TensorProto.FLOAT)
        for attribute in node.attribute:
            _widen(attribute)
        computed = [name for name in node.output if types.get(name) in HALF_TYPES and node.op_type not in _EXACT]
        node.output[:] = [f"{name}/exact" if name in computed else name for name in node.output]
        yield node
        for name in computed:
            yield cast(f"{name}/exact", _half(name), types[name])
            yield cast(_half(name), name, TensorProto.FLOAT)


def _widen(attribute: AttributeProto) -> None:
    """Make an attribute that holds a half tensor, or asks for one, float32."""
    if attribute.type == AttributeProto.TENSOR and attribute.t.data_type in HALF_TYPES:
        attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float32)))
    elif attribute.name in _TYPE_ATTRIBUTES and attribute.i in HALF_TYPES:
        attribute.i = TensorProto.FLOAT


def _open_normalizations(model: ModelProto) -> None:
    """Replace half LayerNormalizations by their formula, so that their steps are rounded too.

    TensorRT computes one in the type of its input, whatever its ``stash_type`` says (INormalizationLayer's compute
    precision is gone in 11.0), and the square of anything from 256 on is infinite in float16.
    """
    if not any(_is_normalization(node) for node in model.graph.node):
        return
    types = element_types(model)
    opset = next(item.version for item in model.opset_import if not item.domain)
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        half = _is_normalization(node) and types[node.output[0]] in HALF_TYPES
        nodes.extend(_normalization_steps(node, types[node.output[0]], opset) if half else [node])
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _is_normalization(node: NodeProto) -> bool:
    """Whether it is a LayerNormalization over the last axes, written as every exporter writes it."""
    axis = attribute_of(node, "axis")
    return node.op_type == "LayerNormalization" and not any(node.output[1:]) and (axis is None or axis.i < 0)


def _normalization_steps(node: NodeProto, element_type: int, opset: int) -> list[NodeProto]:
    source, scale, target = node.input[0], node.input[1], node.output[0]
    axis, epsilon = attribute_of(node, "axis"), attribute_of(node, "epsilon")
    axes = list(range(-1 if axis is None else axis.i, 0))
    steps: list[NodeProto] = []

    def step(op_type: str, *inputs: str, **attributes: Any) -> str:
        output = f"{target}/{len(steps)}"
        steps.append(helper.make_node(op_type, inputs, [output], name=f"{node.name}/{len(steps)}", **attributes))
        return output

    def constant(data_type: int, values: list[int] | list[float]) -> str:
        return step("Constant", value=helper.make_tensor("", data_type, [len(values)], values))

    def mean(of: str) -> str:
        if opset < 18:
            return step("ReduceMean", of, axes=axes)
        return step("ReduceMean", of, constant(TensorProto.INT64, axes))

    centred = step("Sub", source, mean(source))
    variance = mean(step("Mul", centred, centred))
    least = constant(element_type, [epsilon.f if epsilon else 1e-5])
    deviation = step("Sqrt", step("Add", variance, least))
    scaled = step("Mul", step("Div", centred, deviation), scale)
    if any(node.input[2:]):
        step("Add", scaled, node.input[2])
    steps[-1].output[0] = target
    return steps
