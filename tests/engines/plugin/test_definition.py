"""The operator in standard ONNX operators, run by ONNX Runtime: every form is the formula, and nothing else is."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from briges.engines.lowering import attention_nodes, define, forget_definitions, lowered
from briges.engines.plugin.definition import extra_flop, relative_form, wide_head_dim
from briges.engines.plugin.layout import INPUTS, AttentionLayout
from briges.engines.plugin.reference import attention
from briges.runtime.contracts import PLUGIN_NAME, PLUGIN_NAMESPACE

WIDTH = 96  # two heads of 48
CROSS = AttentionLayout(2, 48, value_offset=WIDTH)
PACKED = AttentionLayout(2, 48, key_offset=WIDTH, value_offset=2 * WIDTH)
WINDOW = dataclasses.replace(PACKED, grid_height=7, grid_width=9)
GLOBAL = dataclasses.replace(PACKED, grid_height=16, grid_width=12)
ROW = dataclasses.replace(PACKED, grid_height=1, grid_width=20)
DOT = dataclasses.replace(PACKED, grid_height=1, grid_width=1)
LAYOUTS = {"cross": CROSS, "packed": PACKED, "window": WINDOW, "global": GLOBAL, "row": ROW, "dot": DOT}
TOKENS = {
    "cross": (40, 33),
    "packed": (41, 41),
    "window": (63, 63),
    "global": (192, 192),
    "row": (20, 20),
    "dot": (1, 1),
}
Arrays = dict[str, NDArray[Any]]


def draw(name: str, batch: int = 2) -> Arrays:
    """The node's inputs, float32."""
    layout, (queries, keys) = LAYOUTS[name], TOKENS[name]
    generator = np.random.default_rng(0)
    if name == "cross":
        packed = generator.standard_normal((batch, keys, 2 * WIDTH), np.float32)
        arrays = [generator.standard_normal((batch, queries, WIDTH), np.float32), packed, packed]
    else:
        arrays = [generator.standard_normal((batch, queries, 3 * WIDTH), np.float32)] * 3
    arrays.append(np.array([1.7], np.float32))
    if layout.relative:
        sides = (layout.grid_height, layout.grid_width)
        arrays += [generator.standard_normal((2 * side - 1, 48), np.float32) for side in sides]
    return dict(zip(INPUTS, arrays, strict=False))


def graph_of(layout: AttentionLayout, arrays: Arrays, element_type: int = TensorProto.FLOAT) -> ModelProto:
    """One attention node, defined; its temperature is an input of the graph."""
    values = [
        helper.make_tensor_value_info(key, TensorProto.FLOAT if key == "temperature" else element_type, array.shape)
        for key, array in arrays.items()
    ]
    shape = [*arrays["query"].shape[:2], WIDTH]
    output = helper.make_tensor_value_info("output", element_type, shape)
    node = helper.make_node(
        PLUGIN_NAME, list(arrays), ["output"], name="gates.0.attn/node", domain=PLUGIN_NAMESPACE, **layout.attributes()
    )
    graph = helper.make_graph([node], "one", values, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    define(model)
    onnx.checker.check_model(model)
    return model


def run(model: ModelProto, arrays: Arrays) -> NDArray[Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = {item.name for item in session.get_inputs()}
    return session.run(None, {name: array for name, array in arrays.items() if name in names})[0]


def formula(layout: AttentionLayout, arrays: Arrays) -> NDArray[np.float64]:
    """The plugin's reference on the node's part of each packed tensor."""
    offsets = (layout.query_offset, layout.key_offset, layout.value_offset)
    parts = [
        arrays[key].astype(np.float64)[..., offset : offset + WIDTH]
        for key, offset in zip(INPUTS, offsets, strict=False)
    ]
    tables = None
    if layout.relative:
        tables = (arrays["rel_pos_h"].astype(np.float64), arrays["rel_pos_w"].astype(np.float64))
    temperature = float(arrays["temperature"][0])
    return attention(*parts, 2, temperature, tables, (layout.grid_height, layout.grid_width))


def error(ours: NDArray[Any], reference: NDArray[Any]) -> float:
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


def all_forms(model: ModelProto) -> dict[str, ModelProto]:
    written = {form: lowered(model, form, lambda _: True) for form in ("native", "plain")}
    return {"function": model} | written


@pytest.mark.parametrize("form", ["function", "native", "plain"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_form_is_the_formula(name, form):
    arrays = draw(name)
    model = all_forms(graph_of(LAYOUTS[name], arrays))[form]
    assert error(run(model, arrays), formula(LAYOUTS[name], arrays)) < 1e-6


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_function_and_the_plain_form_agree_to_a_millionth(name):
    arrays = draw(name)
    forms = all_forms(graph_of(LAYOUTS[name], arrays))
    assert np.abs(run(forms["function"], arrays) - run(forms["plain"], arrays)).max() <= 1e-6


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_temperature_is_read_at_run_time(name):
    arrays = draw(name)
    model = graph_of(LAYOUTS[name], arrays)
    for temperature in (0.05, 1.0, 100.0):
        arrays["temperature"] = np.array([temperature], np.float32)
        assert error(run(model, arrays), formula(LAYOUTS[name], arrays)) < 2e-6


def test_a_constant_temperature_of_one_costs_no_division():
    arrays = draw("packed")
    model = graph_of(PACKED, arrays)
    one = np.ones(1, np.float32)
    model.graph.initializer.append(numpy_helper.from_array(one, "temperature"))
    plain = lowered(model, "plain", lambda _: True)
    assert "Div" not in [node.op_type for node in plain.graph.node]
    assert "temperature" not in [weight.name for weight in plain.graph.initializer]
    arrays["temperature"] = one
    assert error(run(plain, arrays), formula(PACKED, arrays)) < 1e-6


@pytest.mark.parametrize("element_type", [TensorProto.FLOAT16, TensorProto.BFLOAT16])
@pytest.mark.parametrize("form", ["function", "native", "plain"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_half_graph_is_half_throughout(name, form, element_type):
    model = all_forms(graph_of(LAYOUTS[name], draw(name), element_type))[form]
    inferred = onnx.shape_inference.infer_shapes(onnx.inliner.inline_local_functions(model), strict_mode=True)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    floating = {name for name, kind in types.items() if kind == TensorProto.FLOAT}
    casts = {node.input[0] for node in inferred.graph.node if node.op_type in ("Cast", "CastLike")}
    divisors = {name for node in inferred.graph.node if node.op_type == "Div" for name in node.input}
    assert floating <= casts | divisors, "only the scale is float32, until it is cast"


def test_nodes_of_other_attributes_have_functions_of_their_own():
    arrays = draw("packed")
    model = graph_of(PACKED, arrays)
    second = helper.make_node(
        PLUGIN_NAME,
        ["output", "output", "output", "temperature"],
        ["second"],
        domain=PLUGIN_NAMESPACE,
        **AttentionLayout(4, 24).attributes(),
    )
    model.graph.node.append(second)
    model.graph.output[0].name = "second"
    model.graph.value_info.append(helper.make_tensor_value_info("output", TensorProto.FLOAT, [2, 41, WIDTH]))
    define(model)
    assert len({function.domain for function in model.functions}) == 2
    first = formula(PACKED, arrays)
    expected = attention(first, first, first, 4, 1.7)
    assert error(run(model, arrays), expected) < 1e-6


def test_lowering_one_node_leaves_the_others_and_the_original_alone():
    model = graph_of(PACKED, draw("packed"))
    before = model.SerializeToString()
    kept = lowered(model, "native", lambda _: False)
    assert kept == model
    gone = lowered(model, "native", lambda _: True)
    assert attention_nodes(gone) == []
    assert not gone.functions
    assert model.SerializeToString() == before


def test_a_node_says_what_it_is():
    (found,) = attention_nodes(graph_of(CROSS, draw("cross", batch=3), TensorProto.FLOAT16))
    assert (found.batch, found.queries, found.keys) == (3, 40, 33)
    assert (found.layout, found.element_type) == (CROSS, TensorProto.FLOAT16)
    names = {item.name: item.s for item in found.node.attribute}
    assert (names["plugin_namespace"], names["plugin_version"]) == (b"briges", b"1")


def test_without_definitions_only_the_node_is_left():
    model = graph_of(PACKED, draw("packed"))
    forget_definitions(model)
    assert not model.functions
    assert [node.op_type for node in model.graph.node] == [PLUGIN_NAME]


@pytest.mark.parametrize(
    ("layout", "wide"),
    [
        (AttentionLayout(12, 64, grid_height=64, grid_width=64), 192),
        (AttentionLayout(12, 64, grid_height=14, grid_width=14), 96),
        (AttentionLayout(16, 80, grid_height=64, grid_width=64), 208),
        (AttentionLayout(4, 32, grid_height=5, grid_width=5), 48),
    ],
)
def test_the_wide_head_is_the_next_multiple_of_8(layout, wide):
    assert wide_head_dim(layout) == wide
    tokens = layout.grid_height * layout.grid_width
    assert extra_flop(layout, 3) == 3 * 4 * layout.num_heads * tokens**2 * (wide - layout.head_dim)


def test_only_native_makes_channels_and_only_of_grids_above_a_window():
    window = AttentionLayout(2, 48, grid_height=14, grid_width=14)
    assert [relative_form("native", layout) for layout in (CROSS, window, GLOBAL)] == [None, "bias", "channels"]
    assert [relative_form("plain", layout) for layout in (CROSS, window, GLOBAL)] == [None, "bias", "bias"]
