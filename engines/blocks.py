"""The parts of a network as its typed ONNX graph shows them: which nodes belong together when precision is decided."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from onnx import ModelProto, NodeProto

from briges.engines.onnx_graph import read_by, written_by

# What may stand between the two products of an attention core and its softmax: scaling, bias, a change of layout.
_BETWEEN = frozenset({"Add", "Sub", "Mul", "Div", "Where", "Cast", "Reshape", "Transpose", "Expand", "Concat", "Slice"})
# And before the first product: the scaling of query and key.
_SCALING = frozenset({"Mul", "Div", "Transpose", "Cast"})

_MODEL = "model"

Parts = dict[str, tuple[int, ...]]  # part -> positions of its nodes in the graph, in their order


def parts_of(model: ModelProto, names: Collection[str]) -> Parts:
    """Sort every node into its part, the parts in the order of the network.

    A node's name starts with its module's path ("geometry.blocks.3.mlp.fc1/node_7"). Its part is the longest beginning
    of that path that is among ``names``, such as the parts in the precision table of the sidecar; the path itself if
    none is. A node without a path, which graph optimisations leave, belongs where its first input was computed, and to
    "model" if that is an input of the graph. All of an attention core (the scaling of query and key, their product, the
    softmax, the product with the value) belongs where the softmax does.
    """
    nodes = model.graph.node
    writers = written_by(nodes)
    homes: list[str] = []
    for node in nodes:
        path = node.name.rpartition("/")[0]
        computed = (writers[name] for name in node.input if name in writers)
        homes.append(_longest(path, names) if path else next((homes[index] for index in computed), _MODEL))
    for index, node in enumerate(nodes):
        if node.op_type == "Softmax":
            for member in core_of(nodes, index):
                homes[member] = homes[index]
    return {part: tuple(i for i, home in enumerate(homes) if home == part) for part in dict.fromkeys(homes)}


def core_of(nodes: Sequence[NodeProto], softmax: int) -> set[int]:
    """The positions of the attention core around the Softmax at position ``softmax``; that one alone if it is none."""
    writers, readers = written_by(nodes), read_by(nodes)

    def before(index: int) -> list[int]:
        return [writers[name] for name in nodes[index].input if name in writers]

    def after(index: int) -> list[int]:
        return [reader for name in nodes[index].output for reader in readers.get(name, ())]

    core, products = _walk(nodes, before(softmax), before, _BETWEEN)
    ahead, values = _walk(nodes, after(softmax), after, _BETWEEN)
    if not products or not values:
        return {softmax}
    scaling, _ = _walk(nodes, [index for product in products for index in before(product)], before, _SCALING)
    return {softmax} | core | products | ahead | values | scaling


def _walk(
    nodes: Sequence[NodeProto], start: Iterable[int], step: Callable[[int], list[int]], through: Collection[str]
) -> tuple[set[int], set[int]]:
    """Go from ``start`` over nodes of the types ``through``. Returns those, and the matrix products it ended at."""
    passed, products, waiting = set[int](), set[int](), list(start)
    while waiting:
        index = waiting.pop()
        if nodes[index].op_type == "MatMul":
            products.add(index)
        elif nodes[index].op_type in through and index not in passed:
            passed.add(index)
            waiting += step(index)
    return passed, products


def _longest(path: str, names: Collection[str]) -> str:
    steps = path.split(".")
    beginnings = (".".join(steps[:length]) for length in range(len(steps), 0, -1))
    return next((beginning for beginning in beginnings if beginning in names), path)
