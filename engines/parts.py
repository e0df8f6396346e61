"""The graphs that become engines: one per input size, or after `--split` three, cut at the contract's tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnx import ModelProto, TensorProto, ValueInfoProto
from onnx.utils import Extractor

from briges.engines.lowering import define
from briges.runtime import contracts
from briges.runtime.errors import BuildError
from briges.runtime.manifest import DType, Part, Tensor
from briges.runtime.sidecar import ModelSpec, SizedGraph

_ELEMENT_TYPES: dict[int, DType] = {
    TensorProto.FLOAT: "float32",
    TensorProto.UINT8: "uint8",
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}


@dataclass(frozen=True, eq=False)
class PartGraph:
    """One graph to build an engine from. ``size``: the input size it serves, None if it serves every size.

    ``stem``: the name its file should have, without suffix. The weights of ``model`` lie in the model folder.
    """

    part: Part
    size: str | None
    stem: str
    model: ModelProto


def part_graphs(spec: ModelSpec, models: Mapping[str, ModelProto], *, split: bool) -> list[PartGraph]:
    """What to build from the graph of each size.

    models: size -> its graph. With ``split``: the geometry encoder, the semantic encoder and the gates with the head.
    The semantic encoder sees an image of its own fixed size, so that one graph of it serves all sizes.
    """
    parts: list[PartGraph] = []
    for graph in spec.graphs:
        model = models[graph.size]
        if not split:
            parts.append(PartGraph("model", graph.size, graph.file.removesuffix(".onnx"), model))
            continue
        for part, (inputs, outputs) in _cuts(spec, graph).items():
            shared = part == "semantic"
            if shared and any(done.part == "semantic" for done in parts):
                continue
            stem = part if shared or len(spec.graphs) == 1 else f"{part}-{graph.size}"
            cut = Extractor(model).extract_model(inputs, outputs)
            cut.metadata_props.extend(model.metadata_props)
            define(cut)
            parts.append(PartGraph(part, None if shared else graph.size, stem, cut))
    return parts


def _cuts(spec: ModelSpec, graph: SizedGraph) -> dict[Part, tuple[list[str], list[str]]]:
    """Inputs and outputs of each part, in the order they run."""
    features = list(contracts.GEOMETRY_FEATURES)
    cuts: dict[Part, tuple[list[str], list[str]]] = {"geometry": ([contracts.IMAGE], features)}
    gathered = features
    if len(graph.inputs) > 1:
        cuts["semantic"] = ([contracts.SEMANTIC_IMAGE], [contracts.SEMANTIC_FEATURES])
        gathered = [*features, contracts.SEMANTIC_FEATURES]
    if spec.temperature.mode == "dynamic":
        gathered = [*gathered, contracts.TEMPERATURE]
    cuts["fusion"] = (gathered, [contracts.DEPTH])
    return cuts


def tensors_of(model: ModelProto) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Inputs and outputs of a graph. Raises BuildError for what no graph of ours has, such as a size left open."""
    inputs, outputs = (tuple(map(_tensor, values)) for values in (model.graph.input, model.graph.output))
    return inputs, outputs


def _tensor(value: ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    sides = tuple(side.dim_value for side in kind.shape.dim)
    dtype = _ELEMENT_TYPES.get(kind.elem_type)
    if dtype is None or min(sides, default=1) < 1:
        came = [side.dim_param or side.dim_value for side in kind.shape.dim]
        raise BuildError(
            subject=f"tensor {value.name!r} of the model",
            came=f"{TensorProto.DataType.Name(kind.elem_type)} of shape {came}",
            expected=f"a fixed shape, and one of {', '.join(_ELEMENT_TYPES.values())}",
            cure="export it with `briges export`, which fixes every size",
        )
    return Tensor(value.name, dtype, sides)
