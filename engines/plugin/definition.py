"""The attention operator written in standard ONNX operators: what it means, and how it is built without the plugin.

"plain" is the literal form, and the body of the function that defines the operator in every exported graph. "native" is
the form TensorRT fuses by itself: where there are relative positions, they become channels of query and key in grids
whose bias matrix would cost more memory (docs/adr/0009).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from briges.engines.plugin.layout import AttentionLayout

Form = Literal["native", "plain"]
RelativeForm = Literal["bias", "channels"]

# SAM's window. Of all its windows together the bias is 23 MB for ViT-B in half, less than wider queries, keys and
# values take; of one global block it is 403 MB, and channels are what makes TensorRT fuse that.
_BIAS_UP_TO = 14
_LAST = np.iinfo(np.int64).max


def relative_form(form: Form, layout: AttentionLayout) -> RelativeForm | None:
    """How ``form`` writes the relative positions of a node; None where it has none."""
    if not layout.relative:
        return None
    wide = form == "native" and max(layout.grid_height, layout.grid_width) > _BIAS_UP_TO
    return "channels" if wide else "bias"


def wide_head_dim(layout: AttentionLayout) -> int:
    """Head size once both relative terms are channels, rounded up to the multiple of 8 that fused attention needs."""
    return -(-(layout.head_dim + layout.grid_height + layout.grid_width) // 8) * 8


def extra_flop(layout: AttentionLayout, batch: int) -> int:
    """What channels cost more than a bias: two products, query with key and weights with value, of wider heads."""
    tokens = layout.grid_height * layout.grid_width
    return 2 * 2 * batch * layout.num_heads * tokens**2 * (wide_head_dim(layout) - layout.head_dim)


@dataclass(frozen=True)
class Steps:
    """Collects nodes. ``prefix``: of the names of nodes and tensors; it keeps the path of the module they belong to.

    element_type: of query, key, value and output; None in a function, which takes any.
    """

    prefix: str
    element_type: int | None = None
    nodes: list[NodeProto] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        name = f"{self.prefix}{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output or name], name=name, **attributes))
        return output or name

    def integers(self, *values: int) -> str:
        """A constant int64 vector."""
        return self.add("Constant", value=numpy_helper.from_array(np.array(values, np.int64)))

    def like(self, tensor: str, example: str) -> str:
        """``tensor``, float32, in the type of ``example``."""
        if self.element_type is None:
            return self.add("CastLike", tensor, example)
        return self.add("Cast", tensor, to=self.element_type)

    def numbers(self, values: Any, example: str) -> str:
        """Constant numbers in the type of ``example``."""
        array = np.asarray(values, np.float32)
        element_type = self.element_type or TensorProto.FLOAT
        name = self.add("Constant", value=helper.make_tensor("", element_type, array.shape, array.ravel().tolist()))
        return name if self.element_type else self.like(name, example)

    def cut(self, tensor: str, axis: int, start: int, end: int, step: int = 1) -> str:
        """Elements ``start`` to ``end`` of an axis."""
        bounds = [self.integers(number) for number in (start, end, axis, step)]
        return self.add("Slice", tensor, *bounds)


def write_attention(
    steps: Steps,
    inputs: list[str],
    output: str,
    layout: AttentionLayout,
    form: Form,
    *,
    batch: int = 0,
    unit: bool = False,
) -> None:
    """Append the operator to ``steps``, from the tensors ``inputs`` (see ``layout.INPUTS``) to the tensor ``output``.

    batch: of the tokens, which "native" has to know. unit: whether the temperature is known to be 1.
    """
    query = _heads(steps, inputs[0], layout, layout.query_offset)
    value = _heads(steps, inputs[2], layout, layout.value_offset)
    # Divided in float32, where a small temperature does not overflow before it meets the query.
    scale = layout.head_dim**-0.5
    if unit:
        factor = steps.numbers(scale, query)
    else:
        factor = steps.add("Constant", value=helper.make_tensor("", TensorProto.FLOAT, [1], [scale]))
        factor = steps.like(steps.add("Div", factor, inputs[3]), query)
    scaled = steps.add("Mul", query, factor)
    relative = relative_form(form, layout)
    if relative == "channels":
        key = _heads(steps, inputs[1], layout, layout.key_offset)
        context = _with_channels(steps, query, scaled, key, value, inputs[4:], layout, batch)
    else:
        key = _heads(steps, inputs[1], layout, layout.key_offset, (0, 2, 3, 1))
        logits = steps.add("MatMul", scaled, key)  # [B, heads, Nq, Nk]
        if relative == "bias":
            logits = steps.add("Add", logits, _bias(steps, query, inputs[4:], layout))
        context = steps.add("MatMul", steps.add("Softmax", logits, axis=-1), value)
    merged = steps.add("Transpose", context, perm=(0, 2, 1, 3))  # [B, heads, Nq, head_dim] -> [B, Nq, heads, head_dim]
    steps.add("Reshape", merged, steps.integers(0, 0, layout.width), output=output)


def _heads(
    steps: Steps, tokens: str, layout: AttentionLayout, offset: int, perm: tuple[int, ...] = (0, 2, 1, 3)
) -> str:
    """The node's part of a packed tensor, [B, N, C] -> [B, heads, N, head_dim] or another order of these."""
    part = steps.cut(tokens, 2, offset, offset + layout.width)
    return steps.add(
        "Transpose", steps.add("Reshape", part, steps.integers(0, 0, layout.num_heads, layout.head_dim)), perm=perm
    )


def _relative_terms(steps: Steps, query: str, tables: list[str], layout: AttentionLayout) -> tuple[str, str]:
    """What a query adds to its logits for each key row [B, heads, h, w, h] and for each key column [B, heads, h, w, w].

    They use the *unscaled* query: so SAM was trained.
    """
    rows, columns, head_dim = layout.grid_height, layout.grid_width, layout.head_dim
    grid = steps.add("Reshape", query, steps.integers(0, 0, rows, columns, head_dim))  # from [B, heads, N, head_dim]
    by_row = steps.add("MatMul", grid, _by_distance(steps, tables[0], rows, head_dim))
    turned = steps.add("Transpose", grid, perm=(0, 1, 3, 2, 4))
    by_column = steps.add("MatMul", turned, _by_distance(steps, tables[1], columns, head_dim))
    return by_row, steps.add("Transpose", by_column, perm=(0, 1, 3, 2, 4))


def _by_distance(steps: Steps, table: str, side: int, head_dim: int) -> str:
    """[2*side - 1, d] -> [side, d, side]: entry [i, :, j] is table[i - j + side - 1].

    Written as a skew: the reversed table repeated ``side`` times, cut into rows one entry shorter than itself.
    Expanded beforehand, the tables of ViT-B would add 4 MB to every engine.
    """
    if side == 1:  # a period of nothing, which a Reshape would take for a side to keep
        return steps.add("Reshape", table, steps.integers(1, head_dim, 1))
    period = 2 * side - 1
    reversed_ = steps.cut(table, 0, -1, -_LAST, -1)
    turned = steps.add("Transpose", reversed_, perm=(1, 0))  # [period, d] -> [d, period]
    repeated = steps.add(
        "Expand",
        steps.add("Reshape", turned, steps.integers(head_dim, 1, period)),
        steps.integers(head_dim, side, period),
    )
    flat = steps.add("Reshape", repeated, steps.integers(head_dim, side * period))
    shifted = steps.cut(flat, 1, side - 1, side - 1 + side * (period - 1))
    # [d, side * (period - 1)] -> [d, side, period - 1] -> [d, side, side] -> [side, d, side]
    skewed = steps.add("Reshape", shifted, steps.integers(head_dim, side, period - 1))
    return steps.add("Transpose", steps.cut(skewed, 2, 0, side), perm=(1, 0, 2))


def _bias(steps: Steps, query: str, tables: list[str], layout: AttentionLayout) -> str:
    """The matrix on the logits, [B, heads, N, N]."""
    by_row, by_column = _relative_terms(steps, query, tables, layout)
    rows = steps.add("Unsqueeze", by_row, steps.integers(5))  # [B, heads, h, w, key row, 1]
    columns = steps.add("Unsqueeze", by_column, steps.integers(4))  # [B, heads, h, w, 1, key column]
    tokens = layout.grid_height * layout.grid_width
    return steps.add("Reshape", steps.add("Add", rows, columns), steps.integers(0, 0, tokens, tokens))


def _with_channels(
    steps: Steps,
    query: str,
    scaled: str,
    key: str,
    value: str,
    tables: list[str],
    layout: AttentionLayout,
    batch: int,
) -> str:
    """The same numbers from one plain product: [q, by_row, by_column] . [k, one-hot row, one-hot column].

    The value is padded with zeros to the same head size and the output cut back, because TensorRT fuses attention only
    where query, key and value agree in it; unpadded, the 4096 x 4096 matrices of a global block come back.
    """
    rows, columns, heads = layout.grid_height, layout.grid_width, layout.num_heads
    tokens = rows * columns
    extra = wide_head_dim(layout) - layout.head_dim
    by_row, by_column = _relative_terms(steps, query, tables, layout)
    terms = steps.add("Concat", by_row, by_column, axis=-1)
    relative = steps.add("Reshape", terms, steps.integers(0, 0, tokens, rows + columns))
    # Expanded in the graph from a small identity: as constants they would add 1 MB to the engine for each block.
    in_row = steps.add("Unsqueeze", steps.numbers(np.eye(rows), query), steps.integers(1))
    in_row = steps.add("Expand", in_row, steps.integers(batch, heads, rows, columns, rows))
    in_column = steps.add(
        "Expand", steps.numbers(np.eye(columns), query), steps.integers(batch, heads, rows, columns, columns)
    )
    zero = steps.numbers(np.zeros((1, 1, 1, 1)), query)
    zeros = steps.add("Expand", zero, steps.integers(batch, heads, tokens, extra))
    wide_query = [scaled, relative]
    wide_key = [
        key,
        steps.add("Reshape", in_row, steps.integers(0, 0, tokens, rows)),
        steps.add("Reshape", in_column, steps.integers(0, 0, tokens, columns)),
    ]
    if padding := extra - rows - columns:
        blank = steps.add("Expand", zero, steps.integers(batch, heads, tokens, padding))
        wide_query.append(blank)
        wide_key.append(blank)
    turned = steps.add("Transpose", steps.add("Concat", *wide_key, axis=-1), perm=(0, 1, 3, 2))
    logits = steps.add("MatMul", steps.add("Concat", *wide_query, axis=-1), turned)
    context = steps.add("MatMul", steps.add("Softmax", logits, axis=-1), steps.add("Concat", value, zeros, axis=-1))
    return steps.cut(context, 3, 0, layout.head_dim)
