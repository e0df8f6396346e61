"""A typed graph on a CPU: it must overflow and round as its types do, and its weights must stay in their file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from support.attention_graph import attention_graph

from briges.engines.lowering import lowered
from briges.engines.onnx_graph import load_graph
from briges.engines.onnx_run import open_graph
from briges.engines.rounding import emulated
from briges.runtime.errors import BackendError, BuildError

HALF = [TensorProto.FLOAT16, TensorProto.BFLOAT16]
half_types = pytest.mark.parametrize("half", HALF, ids=["fp16", "bf16"])


def as_type(values: Any, element_type: int) -> NDArray[Any]:
    return np.asarray(values).astype(helper.tensor_dtype_to_np_dtype(element_type))


def typed(
    nodes: Sequence[NodeProto], sides: list[int], weights: dict[str, NDArray[Any]], opset: int = 18, **ends: int
) -> onnx.ModelProto:
    """A graph from "x" to "y", both of the shape ``sides`` and float32 unless ``ends`` gives their types."""
    graph = helper.make_graph(
        nodes,
        "typed",
        [helper.make_tensor_value_info("x", ends.get("x", TensorProto.FLOAT), sides)],
        [helper.make_tensor_value_info("y", ends.get("y", TensorProto.FLOAT), sides)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model: onnx.ModelProto, x: NDArray[Any], folder: Path = Path()) -> NDArray[np.float32]:
    rewritten = emulated(model)
    onnx.checker.check_model(rewritten)
    return open_graph(rewritten, folder, literal=True)({"x": x})["y"]


def between_casts(half: int, *nodes: NodeProto) -> list[NodeProto]:
    """Nodes from "a" to "b" in half, behind a float32 input and before a float32 output."""
    first = helper.make_node("Cast", ["x"], ["a"], to=half)
    return [first, *nodes, helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT)]


def test_a_product_beyond_float16_is_infinite_although_the_next_node_scales_it_down():
    nodes = [helper.make_node("MatMul", ["a", "w"], ["p"]), helper.make_node("Mul", ["p", "s"], ["b"])]
    x, weight = np.full((2, 64), 40.0, np.float32), np.full((64, 64), 50.0)
    for half, expected in ((TensorProto.FLOAT16, np.inf), (TensorProto.BFLOAT16, 128.0)):
        weights = {"w": as_type(weight, half), "s": as_type(1e-3, half)}
        assert np.all(run(typed(between_casts(half, *nodes), [2, 64], weights), x) == expected)


@half_types
def test_every_step_is_rounded_as_numpy_rounds_it(half):
    random = np.random.default_rng(0)
    x = random.standard_normal((5, 7)).astype(np.float32)
    factor, term = (as_type(random.standard_normal((1, 7)), half) for _ in range(2))
    nodes = [
        helper.make_node("Mul", ["a", "f"], ["p"]),
        helper.make_node("Add", ["p", "t"], ["q"]),
        helper.make_node("Sqrt", ["r"], ["b"]),
    ]
    nodes.insert(2, helper.make_node("Abs", ["q"], ["r"]))
    expected = np.sqrt(np.abs(as_type(x, half) * factor + term))
    assert expected.dtype == factor.dtype
    got = run(typed(between_casts(half, *nodes), [5, 7], {"f": factor, "t": term}), x)
    assert np.array_equal(got, expected.astype(np.float32))
    assert not np.array_equal(got, np.sqrt(np.abs(x * factor.astype(np.float32) + term.astype(np.float32))))


@half_types
def test_a_float32_island_is_not_rounded(half):
    nodes = [
        helper.make_node("Cast", ["a"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["wide", "tiny"], ["island"]),
        helper.make_node("Sub", ["island", "one"], ["y"]),
    ]
    weights = {"tiny": np.array(2.0**-16, np.float32), "one": np.array(1.0, np.float32)}
    model = typed([helper.make_node("Cast", ["x"], ["a"], to=half), *nodes], [1, 3], weights)
    assert np.all(run(model, np.ones((1, 3), np.float32)) == 2.0**-16)


def test_moving_data_is_not_rounded_a_second_time():
    nodes = [
        helper.make_node("Transpose", ["a"], ["t"], perm=[1, 0]),
        helper.make_node("Relu", ["t"], ["r"]),
        helper.make_node("Transpose", ["r"], ["b"], perm=[1, 0]),
    ]
    model = typed(between_casts(TensorProto.FLOAT16, *nodes), [2, 3], {})
    casts = [node for node in emulated(model).graph.node if node.op_type == "Cast"]
    assert len(casts) == 4  # the two of the graph, and one pair where its first one rounds


def test_weights_stay_half_and_in_their_file(tmp_path):
    half = TensorProto.FLOAT16
    weight = as_type(np.random.default_rng(0).standard_normal((256, 256)), half)
    model = typed(between_casts(half, helper.make_node("MatMul", ["a", "w"], ["b"])), [4, 256], {"w": weight})
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    rewritten = emulated(load_graph(tmp_path / "m.onnx"))
    (kept,) = rewritten.graph.initializer
    assert (kept.data_type, kept.data_location, kept.raw_data) == (half, TensorProto.EXTERNAL, b"")
    assert len(rewritten.SerializeToString()) < 2000
    x = np.random.default_rng(1).standard_normal((4, 256)).astype(np.float32)
    got = open_graph(rewritten, tmp_path, literal=True)({"x": x})["y"]
    exact = as_type(x, half).astype(np.float64) @ weight.astype(np.float64)
    assert np.abs(got - exact).max() <= np.abs(exact).max() * 2.0**-11
    assert np.array_equal(got, got.astype(np.float16))


def test_weights_that_are_missing_are_one_clear_error(tmp_path):
    half = TensorProto.FLOAT16
    model = typed(
        between_casts(half, helper.make_node("Add", ["a", "w"], ["b"])), [1, 4], {"w": as_type(np.ones(4), half)}
    )
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    (tmp_path / "m.data").unlink()
    with pytest.raises(BackendError, match="ONNX Runtime: cannot load the graph"):
        open_graph(emulated(load_graph(tmp_path / "m.onnx")), tmp_path, literal=True)


def normalization(half: int, *, island: bool, sides: list[int]) -> onnx.ModelProto:
    kind = TensorProto.FLOAT if island else half
    scale, bias = (as_type(np.full(sides[-1], value), kind) for value in (2.0, 0.5))
    nodes = [helper.make_node("LayerNormalization", ["a", "s", "t"], ["b"], epsilon=1e-6)]
    if island:
        nodes[0] = helper.make_node("LayerNormalization", ["w", "s", "t"], ["n"], epsilon=1e-6)
        nodes.insert(0, helper.make_node("Cast", ["a"], ["w"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Cast", ["n"], ["b"], to=half))
    return typed(between_casts(half, *nodes), sides, {"s": scale, "t": bias})


def test_squares_inside_a_float16_normalization_overflow_unless_it_is_an_island():
    large = np.linspace(-2000, 2000, 32, dtype=np.float32)[None]
    broken = run(normalization(TensorProto.FLOAT16, island=False, sides=[1, 32]), large)
    assert np.all(broken == 0.5)  # divided by an infinite deviation: only the bias is left
    whole = run(normalization(TensorProto.FLOAT16, island=True, sides=[1, 32]), large)
    assert np.abs(whole - (2 * (large - large.mean()) / large.std() + 0.5)).max() < 2e-3


@half_types
def test_a_normalization_that_fits_its_type_is_right_to_the_types_digits(half):
    x = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    got = run(normalization(half, island=False, sides=[3, 64]), x)
    expected = 2 * (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True) + 0.5
    error = np.abs(got - expected).max() / np.abs(expected).max()
    assert 0 < error < (2e-3 if half == TensorProto.FLOAT16 else 2e-2)


@half_types
def test_half_ends_of_a_split_model_become_float32_and_carry_half_values(half):
    x = as_type(np.random.default_rng(0).standard_normal((2, 9)), half).astype(np.float32)
    model = typed([helper.make_node("Mul", ["x", "x"], ["y"])], [2, 9], {}, x=half, y=half)
    got = run(model, x)
    assert got.dtype == np.float32
    assert np.array_equal(got, as_type(x * x, half).astype(np.float32))


@half_types
def test_half_constants_keep_their_value(half):
    third = numpy_helper.from_array(as_type([1 / 3], half))
    nodes = [
        helper.make_node("Constant", [], ["third"], value=third),
        helper.make_node("ConstantOfShape", ["sides"], ["thirds"], value=third),
        helper.make_node("Sub", ["thirds", "third"], ["nought"]),
        helper.make_node("Add", ["nought", "third"], ["c"]),
        helper.make_node("Mul", ["a", "c"], ["b"]),
    ]
    model = typed(between_casts(half, *nodes), [1, 4], {"sides": np.array([1, 4])}, opset=20)
    got = run(model, np.ones((1, 4), np.float32))
    assert np.all(got == as_type(1 / 3, half).astype(np.float32))


def test_a_function_of_the_models_own_is_opened():
    half = TensorProto.FLOAT16
    body = [helper.make_node("Mul", ["u", "u"], ["square"]), helper.make_node("Sqrt", ["square"], ["v"])]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("briges", 1)]
    function = helper.make_function("briges", "Magnitude", ["u"], ["v"], body, opsets[:1])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in ("x", "y")]
    nodes = between_casts(half, helper.make_node("Magnitude", ["a"], ["b"], domain="briges"))
    graph = helper.make_graph(nodes, "typed", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=9)
    assert run(model, np.array([[300.0, 3.0]], np.float32)).tolist() == [[np.inf, 3.0]]


def test_the_typed_graph_itself_stays_as_it_was():
    model = normalization(TensorProto.FLOAT16, island=False, sides=[1, 8])
    before = model.SerializeToString()
    emulated(model)
    assert model.SerializeToString() == before


def test_a_branch_is_refused_by_name():
    value = helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones(1, np.float32)))
    branch = helper.make_graph([constant], "branch", [], [value])
    node = helper.make_node("If", ["condition"], ["y"], name="head/choice", then_branch=branch, else_branch=branch)
    model = typed([helper.make_node("Identity", ["x"], ["y"])], [1], {"condition": np.array(True)})
    model.graph.node[0].CopyFrom(node)
    with pytest.raises(BuildError, match=r"the node 'head/choice' \(If\) has a graph of its own"):
        emulated(model)


def test_an_operator_of_unknown_type_is_refused_by_name():
    model = typed([helper.make_node("Identity", ["x"], ["p"]), helper.make_node("Identity", ["p"], ["y"])], [1], {})
    model.graph.node[0].domain, model.graph.node[0].name = "elsewhere", "head/foreign"
    model.opset_import.append(helper.make_opsetid("elsewhere", 1))
    with pytest.raises(BuildError, match=r"the node 'head/foreign' \(Identity\) gives a tensor of unknown type"):
        emulated(model)


def test_an_attention_that_is_one_node_is_float32_inside_and_rounded_at_its_end():
    """Logits of 80,000 overflow float16 where the steps are written out, and not in a kernel that keeps them."""
    model = attention_graph(head_dim=64)
    packed = np.full((1, 7, 384), 100.0, np.float16)
    packed[..., 256:] = np.random.default_rng(0).standard_normal((1, 7, 128)).astype(np.float16)
    feed = {"packed": packed.astype(np.float32), "temperature": np.ones(1, np.float32)}

    def output(graph: onnx.ModelProto) -> NDArray[Any]:
        return open_graph(emulated(graph), Path(), literal=True)(feed)["output"]

    whole = output(model)
    assert np.isfinite(whole).all()
    assert (whole == whole.astype(np.float16)).all(), "its result is a half number"
    assert np.abs(whole - packed[..., 256:].astype(np.float64).mean(1)).max() < 1e-3
    assert np.isnan(output(lowered(model, "plain", lambda _: True))).all()
