"""ONNX files of a few nodes: good ones that TensorRT builds in a tenth of a second, and one for each way to be bad."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 64
SLOW_BLOCKS = 40  # attention blocks that take seconds to build: long enough to be hit in the middle
COMPLETED = "Engine generation completed"  # TensorRT's log has it if a build came that far


def write_attention_graph(path: Path, blocks: int = 1, weights_beside: bool = False, seed: int = 0) -> Path:
    """A uint8 image [1, 16, 64] to a float32 depth of the same shape, through half-precision attention blocks.

    A block takes about 0.05 s to build. ``weights_beside``: in the file ``path``.data.
    """
    weight = np.random.default_rng(seed).standard_normal((WIDTH, WIDTH)).astype(np.float16) / 8
    constants = {"w": weight, "heads": np.array([1, 16, 4, 16]), "tokens": np.array([1, 16, WIDTH])}
    nodes = [helper.make_node("Cast", ["image"], ["x0"], name="/cast", to=TensorProto.FLOAT16)]
    for number in range(blocks):
        nodes += _attention(f"/block{number}", f"x{number}", f"x{number + 1}")
    nodes.append(helper.make_node("Cast", [f"x{blocks}"], ["depth"], name="/head", to=TensorProto.FLOAT))
    model = _model(
        nodes,
        [("image", TensorProto.UINT8, [1, 16, WIDTH])],
        [("depth", TensorProto.FLOAT, [1, 16, WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    if weights_beside:
        onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)
    else:
        onnx.save(model, path)
    return path


def _attention(name: str, given: str, result: str) -> list[onnx.NodeProto]:
    def node(operator: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
        return helper.make_node(operator, inputs, [output], name=f"{name}/{output}", **attributes)

    def local(part: str) -> str:
        return f"{given}.{part}"

    nodes = []
    for part in ("q", "k", "v"):
        nodes += [
            node("MatMul", [given, "w"], local(f"{part}1")),
            node("Reshape", [local(f"{part}1"), "heads"], local(f"{part}2")),
            node("Transpose", [local(f"{part}2")], local(part), perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]),
        ]
    return [
        *nodes,
        node("MatMul", [local("q"), local("k")], local("logits")),
        node("Softmax", [local("logits")], local("weights"), axis=-1),
        node("MatMul", [local("weights"), local("v")], local("o1")),
        node("Transpose", [local("o1")], local("o2"), perm=[0, 2, 1, 3]),
        node("Reshape", [local("o2"), "tokens"], local("o3")),
        node("Add", [local("o3"), given], result),
    ]


def write_nodes(
    path: Path,
    operators: Iterable[str],
    shape: Iterable[int | str] = (1, 4),
    dtype: int = TensorProto.FLOAT,
    domain: str = "",
) -> Path:
    """A chain of ``operators`` from "x" to "y", each with one input; the nodes are called /net/0, /net/1 and so on."""
    names = list(operators)
    nodes = [
        helper.make_node(name, [f"t{number}"], [f"t{number + 1}"], name=f"/net/{number}", domain=domain)
        for number, name in enumerate(names)
    ]
    nodes[0].input[0], nodes[-1].output[0] = "x", "y"
    sides = list(shape)
    onnx.save(_model(nodes, [("x", dtype, sides)], [("y", dtype, sides)], domain=domain), path)
    return path


def write_product(path: Path, weight: np.ndarray) -> Path:
    """float32 "x" [1, 4] @ ``weight`` [K, N], by a node called /net/product: TensorRT refuses it unless they fit."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="/net/product")]
    ends = [("x", TensorProto.FLOAT, [1, 4])], [("y", TensorProto.FLOAT, [1, weight.shape[1]])]
    onnx.save(_model(nodes, *ends, [numpy_helper.from_array(weight, "w")]), path)
    return path


Value = tuple[str, int, list[int | str]]


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[Value],
    outputs: list[Value],
    constants: Iterable[onnx.TensorProto] = (),
    domain: str = "",
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        initializer=list(constants),
    )
    opsets = {"": 18} | ({domain: 1} if domain else {})
    return helper.make_model(graph, opset_imports=[helper.make_opsetid(*item) for item in opsets.items()], ir_version=9)
