"""A graph of one attention node, as the exporter writes it, and nothing else."""

from __future__ import annotations

from onnx import ModelProto, TensorProto, helper

from briges.engines.lowering import define
from briges.engines.plugin.layout import AttentionLayout
from briges.runtime import contracts

HALF, BFLOAT, FLOAT = TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.FLOAT


def attention_graph(head_dim: int = 64, side: int = 0, kind: int = HALF) -> ModelProto:
    """One self-attention of two heads."""
    width, tokens = 2 * head_dim, side * side or 7
    layout = AttentionLayout(2, head_dim, 0, width, 2 * width, side, side)
    inputs = [helper.make_tensor_value_info("packed", kind, [1, tokens, 3 * width])]
    inputs.append(helper.make_tensor_value_info("temperature", FLOAT, [1]))
    tables = ["rows", "columns"] if side else []
    inputs += [helper.make_tensor_value_info(name, kind, [2 * side - 1, head_dim]) for name in tables]
    node = helper.make_node(
        contracts.PLUGIN_NAME,
        ["packed"] * 3 + ["temperature", *tables],
        ["output"],
        name="gates.0.cross_block.attn/node",
        domain=contracts.PLUGIN_NAMESPACE,
        **layout.attributes(),
    )
    output = helper.make_tensor_value_info("output", kind, [1, tokens, width])
    made = helper.make_model(
        helper.make_graph([node], "one", inputs, [output]), opset_imports=[helper.make_opsetid("", 18)], ir_version=10
    )
    define(made)
    return made
