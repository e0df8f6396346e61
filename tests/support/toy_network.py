"""A transformer of two blocks as `briges export` would write it, typed, with faults of half precision to plant in it.

In float32 every fault is without effect, so that one reference serves all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from support import manifests

from briges.engines.onnx_graph import ELEMENT_TYPES, load_graph
from briges.engines.onnx_run import open_graph
from briges.runtime import contracts
from briges.runtime.agreement import Precision
from briges.runtime.photographs import photograph_feeds, reference_key
from briges.runtime.sidecar import Decision, ImageInput, ModelSpec, SizedGraph

HEIGHT_PX, WIDTH_PX, WIDTH = 56, 70, 64
BLOCKS = ("geometry.blocks.0", "geometry.blocks.1")
PARTS = (
    "geometry.patch_embed",
    *(f"{block}{end}" for block in BLOCKS for end in ("", ".norm1", ".attn", ".norm2", ".mlp")),
    "head",
)

# (multiplied by, then by) or (added, then added) between two operators of a part. 2^15 leaves float16's range from 2
# on; 4096 leaves a float16 no digit below 4.
Fault = tuple[str, float, float]
OVERFLOW = ("Mul", 2.0**15, 2.0**-15)
ABSORPTION = ("Add", 4096.0, -4096.0)


@dataclass
class _Network:
    precision: Precision
    faults: dict[str, Fault]
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def node(self, operator: str, path: str, *inputs: str, **attributes: Any) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], f"{path}/node_{len(self.nodes)}", **attributes))
        return output

    def constant(self, value: NDArray[np.float32], element_type: int | None = None) -> str:
        kind = helper.tensor_dtype_to_np_dtype(element_type or ELEMENT_TYPES[self.precision])
        self.weights.append(numpy_helper.from_array(value.astype(kind), f"w{len(self.weights)}"))
        return self.weights[-1].name

    def linear(self, path: str, tokens: str, inputs: int, outputs: int) -> str:
        weight = self.random.standard_normal((inputs, outputs)) * (3 / inputs) ** 0.5
        return self.node("MatMul", path, tokens, self.constant(weight))

    def shape(self, path: str, operand: str, sides: list[int]) -> str:
        return self.node("Reshape", path, operand, self.constant(np.array(sides), TensorProto.INT64))

    def cast(self, path: str, operand: str, precision: Precision) -> str:
        return self.node("Cast", path, operand, to=ELEMENT_TYPES[precision])

    def norm(self, path: str, tokens: str) -> str:
        island = self.cast(path, tokens, "fp32")
        one = self.constant(np.ones(WIDTH), TensorProto.FLOAT)
        return self.cast(path, self.node("LayerNormalization", path, island, one, epsilon=1e-6), self.precision)

    def fault(self, planted: str, operand: str, step: Literal[1, 2], path: str | None = None) -> str:
        """One of the two steps of the fault ``planted``, if there is one, as a node of the module ``path``."""
        if planted not in self.faults:
            return operand
        operator, *values = self.faults[planted]
        return self.node(operator, path or planted, operand, self.constant(np.array(values[step - 1])))

    def attention(self, path: str, tokens: str) -> str:
        query, key, value = (self.linear(f"{path}.{name}", tokens, WIDTH, WIDTH) for name in "qkv")
        query = self.node("Mul", path, query, self.constant(np.array(WIDTH**-0.5)))
        # A path is missing where graph optimisations wrote the node.
        logits = self.node("MatMul", path, self.fault(path, query, 1), self.node("Transpose", "", key, perm=[0, 2, 1]))
        weights = self.node("Softmax", path, self.fault(path, logits, 2), axis=-1)
        return self.linear(f"{path}.proj", self.node("MatMul", path, weights, value), WIDTH, WIDTH)

    def mlp(self, path: str, tokens: str) -> str:
        hidden = self.fault(path, self.linear(f"{path}.fc1", tokens, WIDTH, 2 * WIDTH), 1)
        return self.linear(f"{path}.fc2", self.node("Relu", path, self.fault(path, hidden, 2)), 2 * WIDTH, WIDTH)

    def build(self) -> onnx.ModelProto:
        pixels = self.node("Mul", "", self.cast("", contracts.IMAGE, "fp32"), self._unit())
        rows = self.cast("", self.shape("", pixels, [1, HEIGHT_PX, WIDTH_PX * 3]), self.precision)
        tokens = self.linear("geometry.patch_embed.proj", rows, WIDTH_PX * 3, WIDTH)
        for block in BLOCKS:
            tokens = self.fault("stream", tokens, 2, block) if block == BLOCKS[1] else tokens
            branch = self.attention(f"{block}.attn", self.norm(f"{block}.norm1", tokens))
            tokens = self.node("Add", block, tokens, branch)
            branch = self.mlp(f"{block}.mlp", self.norm(f"{block}.norm2", tokens))
            tokens = self.node("Add", block, tokens, branch)
            tokens = self.fault("stream", tokens, 1, block) if block == BLOCKS[0] else tokens
        depth = self.shape("head", self.linear("head", tokens, WIDTH, WIDTH_PX), [1, 1, HEIGHT_PX, WIDTH_PX])
        self.nodes[-1].output[0] = depth
        self.nodes.append(helper.make_node("Cast", [depth], [contracts.DEPTH], "/depth", to=TensorProto.FLOAT))
        image = helper.make_tensor_value_info(contracts.IMAGE, TensorProto.UINT8, [1, HEIGHT_PX, WIDTH_PX, 3])
        out = helper.make_tensor_value_info(contracts.DEPTH, TensorProto.FLOAT, [1, 1, HEIGHT_PX, WIDTH_PX])
        graph = helper.make_graph(self.nodes, "toy", [image], [out], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    def _unit(self) -> str:
        return self.constant(np.array(1 / 255), TensorProto.FLOAT)


def write_toy(folder: Path, precision: Precision, **faults: Fault) -> ModelSpec:
    """Write graph, weights and reference into ``folder``; the sidecar is only returned.

    faults: ``attn0``, ``mlp1`` and so on for a part of a block, ``stream`` for the residual stream from one block to
    the next, which neither alone can mend -> OVERFLOW or ABSORPTION.
    """
    folder.mkdir(parents=True)
    planted = {name if name == "stream" else f"{BLOCKS[int(name[-1])]}.{name[:-1]}": faults[name] for name in faults}
    _save(_Network(precision, planted).build(), folder / contracts.MODEL_FILE)
    _save(_Network("fp32", {}).build(), folder / "fp32.onnx")
    image = ImageInput(contracts.IMAGE, "uint8", HEIGHT_PX, WIDTH_PX, (128.0,) * 3, (64.0,) * 3, "cubic")
    graph = SizedGraph(contracts.MODEL_FILE, (image,), None)
    decisions = tuple(Decision(part, "fp32" if ".norm" in part else precision, None, "toy") for part in PARTS)
    spec = manifests.model(precision=precision, decisions=decisions, graphs=(graph,), gates=None)
    run = open_graph(load_graph(folder / "fp32.onnx"), folder, literal=False)
    depths = [run(feed)[contracts.DEPTH] for feed in photograph_feeds(spec, graph)]
    write_reference(folder, graph, depths)
    return spec


def write_reference(folder: Path, graph: SizedGraph, depths: list[NDArray[np.float32]]) -> None:
    """Write what fp32 PyTorch is said to have made of the photographs."""
    named = {reference_key(graph, index): depth for index, depth in enumerate(depths)}
    np.savez(folder / contracts.REFERENCE_FILE, **named)


def _save(model: onnx.ModelProto, path: Path) -> None:
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)
