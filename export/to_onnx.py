"""A model to ``model.onnx``, its weights beside it, with the tensor names and dtypes of the contract."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from briges.export.attention_form import write_form
from briges.export.model import DepthModel
from briges.export.precision import TORCH_DTYPES
from briges.export.presets import IMAGE_MEAN, IMAGE_STD, Preset
from briges.export.shared_weights import save_sharing_weights
from briges.runtime import contracts
from briges.runtime.agreement import Precision
from briges.runtime.sidecar import ImageInput, ModelSpec, SizedGraph

# The last opset before Gelu and Attention become operators: LayerNormalization is one node, attention stays decomposed.
# TensorRT from 8.6 on and ONNX Runtime read it, and TensorRT still finds and fuses the attention pattern.
OPSET = 18


def image_inputs(
    preset: Preset, *, height_px: int, width_px: int, dtype: Literal["uint8", "float32"]
) -> tuple[ImageInput, ...]:
    """The image tensors of the exported model."""
    depth = ImageInput(contracts.IMAGE, dtype, height_px, width_px, IMAGE_MEAN, IMAGE_STD, "cubic")
    if preset.semantic is None:
        return (depth,)
    side = preset.semantic.image_px
    semantic = ImageInput(
        contracts.SEMANTIC_IMAGE, dtype, side, side, IMAGE_MEAN, IMAGE_STD, "linear-antialiased-stretch"
    )
    return (depth, semantic)


class ContractModel(nn.Module):
    """The model behind the contract's inputs: uint8 images are normalised inside the graph, in float32."""

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, model: DepthModel, precision: Precision = "fp32") -> None:
        super().__init__()
        self.model = model
        self.dtype = TORCH_DTYPES[precision]
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("inverse_std", 1 / torch.tensor(IMAGE_STD).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor, semantic_image: Tensor | None = None, temperature: Tensor | None = None) -> Tensor:
        """Images are uint8 [B, H, W, 3], or float32 [B, 3, H, W] normalised. Returns float32 [B, 1, H, W]."""
        return self.trace(image, semantic_image, temperature)[0]

    def trace(
        self, image: Tensor, semantic_image: Tensor | None, temperature: Tensor | None
    ) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """The depth, and the tensors where `--split` cuts: the four geometry maps and the semantic map, if any."""
        features = self.model.geometry(self._network_input(image))
        semantic = None if semantic_image is None else self.model.semantic(self._network_input(semantic_image))
        depth = self.model.fuse(features, semantic, temperature)
        return depth.float(), features, semantic

    def _network_input(self, image: Tensor) -> Tensor:
        if image.dtype == torch.uint8:
            # Cast first: TensorRT casts uint8 and does nothing else with it.
            planes = image.to(torch.float32).permute(0, 3, 1, 2)  # [B, H, W, 3] -> [B, 3, H, W]
            image = (planes - self.mean) * self.inverse_std
        return image.to(self.dtype)


class _Traced(nn.Module):
    """``ContractModel.trace`` as a module: what torch's exporter is given."""

    def __init__(self, contract: ContractModel) -> None:
        super().__init__()
        self.contract = contract

    def forward(
        self, image: Tensor, semantic_image: Tensor | None = None, temperature: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        depth, features, semantic = self.contract.trace(image, semantic_image, temperature)
        return (depth, *features, *(() if semantic is None else (semantic,)))


def example_inputs(spec: ModelSpec, graph: SizedGraph) -> dict[str, Tensor]:
    """Tensors of the right shapes and dtypes to trace with; tracing looks at no value."""
    dtypes = {"uint8": torch.uint8, "float32": torch.float32}
    examples = {item.name: torch.zeros(item.shape(spec.batch), dtype=dtypes[item.dtype]) for item in graph.inputs}
    if spec.temperature.mode == "dynamic":
        examples[contracts.TEMPERATURE] = torch.ones(1)
    return examples


def write_onnx(model: ContractModel, spec: ModelSpec, graph: SizedGraph, folder: Path) -> None:
    """Trace ``model`` at the fixed shapes of ``graph`` and write graph and weights into ``folder``.

    The tensors where `--split` cuts have their contract's names inside the graph, each node's name starts with the
    path of its module ("gates.0.cross_block.mlp/..."), attention has the form ``spec.attention``, and the metadata
    repeats what a lost sidecar would hide: ``briges.preset`` and ``briges.temperature`` (JSON). The weights are shared
    with the graphs already in the folder.
    """
    examples = example_inputs(spec, graph)
    cuts = contracts.GEOMETRY_FEATURES + ((contracts.SEMANTIC_FEATURES,) if spec.gates else ())
    with _quiet_exporter():
        program = torch.onnx.export(
            _Traced(model).eval(),
            kwargs=examples,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(examples),
            output_names=[contracts.DEPTH, *cuts],
            verbose=False,
        )
    assert program is not None
    while len(program.model.graph.outputs) > 1:  # they have their names now
        program.model.graph.outputs.pop()
    _forget_origins(program.model)
    program.model.metadata_props["briges.preset"] = spec.preset
    program.model.metadata_props["briges.temperature"] = json.dumps(dataclasses.asdict(spec.temperature))
    save_sharing_weights(program.model, folder / graph.file)
    write_form(folder / graph.file, spec.attention)


def _forget_origins(model: Any) -> None:
    """Drop the exporter's notes: stack traces with the paths of this machine, ten times the size of the graph.

    Of them only the module path stays, in the node's name. Nodes that the exporter's optimiser added belong where
    their first input was made.
    """
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        if scopes := node.metadata_props.get("pkg.torch.onnx.name_scopes"):
            path = ast.literal_eval(scopes)[-2].removeprefix("contract").removeprefix(".model").removeprefix(".")
        else:
            maker = node.inputs[0].producer() if node.inputs else None
            path = maker.name.rpartition("/")[0] if maker else ""
        node.name = f"{path}/{node.name}"
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """torch's exporter reports torchvision's absence and its own deprecations; neither concerns our users."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            yield
        finally:
            logger.setLevel(level)
