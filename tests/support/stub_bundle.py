"""A real engine bundle, run by ONNX Runtime, whose depth is known: the luminance of the picture it is given.

Small enough to build in milliseconds, so that the tests of `briges infer` check values and not only that it ran.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from support.building import build_for_onnxruntime
from support.manifests import RANDOM, TRAINED

from briges.runtime import contracts
from briges.runtime.files import sha256_of, write_text
from briges.runtime.photographs import photograph_feeds, reference_key
from briges.runtime.records import to_json
from briges.runtime.sidecar import MODEL_SCHEMA, AttentionForm, ImageInput, ModelSpec, SizedGraph, Temperature

HEIGHT_PX, WIDTH_PX = 56, 70
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def luminance(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The depth the stub gives to uint8 RGB [H, W, 3] of its own size: float32 [H, W], 0..255."""
    depth: NDArray[np.float32] = image.astype(np.float32) @ LUMINANCE
    return depth


def own_size(seed: int = 0) -> NDArray[np.uint8]:
    """An image that is neither resized nor placed, so that its depth is known."""
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)


def assert_close(depth: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Depth of the stub agrees to float32 rounding of values up to 255."""
    assert depth.shape == expected.shape
    assert np.abs(depth - expected).max() <= 1e-4


def build_stub_bundle(
    folder: Path,
    *,
    sizes: Sequence[tuple[int, int]] = ((HEIGHT_PX, WIDTH_PX),),
    batch: int = 1,
    dynamic_temperature: bool = False,
    random_weights: bool = False,
) -> Path:
    """Build the bundle ``folder / "engine"`` for images of ``sizes``, each (height, width), and return its path.

    dynamic_temperature: the depth is divided by the input ``temperature``. random_weights: the bundle says of itself
    that its weights are random.
    """
    model_folder = write_stub_model(folder / "model", sizes, batch, dynamic_temperature, random_weights)
    build_for_onnxruntime(model_folder, folder / "engine")
    return folder / "engine"


def write_stub_model(
    folder: Path,
    sizes: Sequence[tuple[int, int]] = ((HEIGHT_PX, WIDTH_PX),),
    batch: int = 1,
    dynamic_temperature: bool = False,
    random_weights: bool = False,
) -> Path:
    """Write the model folder of the stub, as `briges export` would; parameters as of ``build_stub_bundle``."""
    folder.mkdir(parents=True)
    graphs = tuple(_sized(height_px, width_px, alone=len(sizes) == 1) for height_px, width_px in sizes)
    spec = ModelSpec(
        schema_version=MODEL_SCHEMA,
        preset="stub",
        precision="fp32",
        decisions=(),
        attention=AttentionForm("native", None, None, None, 0.0),
        opset=17,
        batch=batch,
        taps=(0,),
        graphs=graphs,
        gates=None,
        temperature=Temperature("dynamic" if dynamic_temperature else "none", 1.0, 1.0, ()),
        weights=RANDOM if random_weights else TRAINED,
        reference=contracts.REFERENCE_FILE,
        versions={},
        files={},
    )
    for graph in graphs:
        model, weights = _graph(graph.image, batch, dynamic_temperature), contracts.WEIGHTS_FILE
        onnx.save(model, str(folder / graph.file), save_as_external_data=True, location=weights, size_threshold=0)
    _write_reference(folder, spec)
    files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    write_text(folder / contracts.SIDECAR_FILE, to_json(dataclasses.replace(spec, files=files)))
    return folder


def _sized(height_px: int, width_px: int, *, alone: bool) -> SizedGraph:
    image = ImageInput(contracts.IMAGE, "uint8", height_px, width_px, (128.0,) * 3, (64.0,) * 3, "cubic")
    return SizedGraph(contracts.MODEL_FILE if alone else f"model-{height_px}x{width_px}.onnx", (image,), None)


def _write_reference(folder: Path, spec: ModelSpec) -> None:
    depths = {}
    for graph in spec.graphs:
        for index, feed in enumerate(photograph_feeds(spec, graph)):
            depth = np.stack([luminance(image) for image in feed[contracts.IMAGE]])[:, None]
            depths[reference_key(graph, index)] = depth / feed.get(contracts.TEMPERATURE, np.float32(1))
    arrays: dict[str, Any] = depths  # which np.savez would take for options of its own
    np.savez(folder / contracts.REFERENCE_FILE, **arrays)


def _graph(image: ImageInput, batch: int, dynamic_temperature: bool) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info(contracts.IMAGE, TensorProto.UINT8, image.shape(batch))]
    nodes = [
        helper.make_node("Cast", [contracts.IMAGE], ["float"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["float", "luminance"], ["grey"]),  # [B, H, W, 3] -> [B, H, W, 1]
    ]
    last = "grey"
    if dynamic_temperature:
        inputs.append(helper.make_tensor_value_info(contracts.TEMPERATURE, TensorProto.FLOAT, [1]))
        nodes.append(helper.make_node("Div", ["grey", contracts.TEMPERATURE], ["divided"]))
        last = "divided"
    nodes.append(helper.make_node("Transpose", [last], [contracts.DEPTH], perm=[0, 3, 1, 2]))
    shape = [batch, 1, image.height_px, image.width_px]
    output = helper.make_tensor_value_info(contracts.DEPTH, TensorProto.FLOAT, shape)
    weights: Any = numpy_helper.from_array(LUMINANCE.reshape(3, 1), "luminance")
    graph = helper.make_graph(nodes, "stub", inputs, [output], [weights])
    # An old IR version, so that the oldest supported ONNX Runtime reads what the newest onnx wrote.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
