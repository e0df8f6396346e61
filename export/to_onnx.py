"""A model to ``model.onnx``, its weights beside it, with the tensor names and dtypes of the contract."""

from __future__ import annotations

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

from briges.export.model import DepthModel
from briges.export.presets import IMAGE_MEAN, IMAGE_STD, Preset
from briges.runtime import contracts
from briges.runtime.manifest import ImageInput, ModelSpec

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
    """The model behind the contract's inputs: uint8 images are normalised inside the graph."""

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, model: DepthModel) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("inverse_std", 1 / torch.tensor(IMAGE_STD).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor, semantic_image: Tensor | None = None, temperature: Tensor | None = None) -> Tensor:
        """Images are uint8 [B, H, W, 3], or float32 [B, 3, H, W] normalised. Returns float32 [B, 1, H, W]."""
        semantic = None if semantic_image is None else self._network_input(semantic_image)
        return self.model(self._network_input(image), semantic, temperature)

    def _network_input(self, image: Tensor) -> Tensor:
        if image.dtype != torch.uint8:
            return image
        planes = image.permute(0, 3, 1, 2).to(torch.float32)  # [B, H, W, 3] -> [B, 3, H, W]
        return (planes - self.mean) * self.inverse_std


def example_inputs(spec: ModelSpec) -> dict[str, Tensor]:
    """Tensors of the right shapes and dtypes to trace with; tracing looks at no value."""
    dtypes = {"uint8": torch.uint8, "float32": torch.float32}
    examples = {item.name: torch.zeros(item.shape(spec.batch), dtype=dtypes[item.dtype]) for item in spec.inputs}
    if spec.temperature.mode == "dynamic":
        examples[contracts.TEMPERATURE] = torch.ones(1)
    return examples


def write_onnx(model: ContractModel, spec: ModelSpec, folder: Path) -> None:
    """Trace ``model`` at the fixed shapes of ``spec`` and write graph and weights into ``folder``.

    The graph's metadata repeats what a lost sidecar would hide: ``briges.preset`` and ``briges.temperature`` (JSON).
    """
    examples = example_inputs(spec)
    with _quiet_exporter():
        program = torch.onnx.export(
            model,
            kwargs=examples,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(examples),
            output_names=[contracts.DEPTH],
            verbose=False,
        )
        assert program is not None
        _forget_origins(program.model)
        program.model.metadata_props["briges.preset"] = spec.preset
        program.model.metadata_props["briges.temperature"] = json.dumps(dataclasses.asdict(spec.temperature))
        program.save(folder / contracts.MODEL_FILE, external_data=True)


def _forget_origins(model: Any) -> None:
    """Drop the exporter's notes: stack traces with the paths of this machine, ten times the size of the graph."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
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
