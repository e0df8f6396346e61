"""A real engine bundle, run by ONNX Runtime, whose depth is known: the luminance of the picture it is given.

Small enough to build in milliseconds, so that the tests of `briges infer` check values and not only that it ran.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from briges.engines.bundle import build_onnxruntime_bundle
from briges.runtime import contracts
from briges.runtime.files import sha256_of, write_text
from briges.runtime.manifest import MODEL_SCHEMA, ImageInput, ModelSpec, Parity, SourceFile, Temperature, Weights
from briges.runtime.records import to_json

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
    folder: Path, *, batch: int = 1, dynamic_temperature: bool = False, random_seed: int | None = None
) -> Path:
    """Build the bundle ``folder / "engine"`` for images of 56 x 70 pixels, and return its path.

    dynamic_temperature: the depth is divided by the input ``temperature``. random_seed: the bundle says of itself that
    its weights are random.
    """
    model_folder = folder / "model"
    model_folder.mkdir(parents=True)
    onnx.save(_graph(batch, dynamic_temperature), str(model_folder / contracts.MODEL_FILE))
    source = SourceFile("checkpoint", "stub.pth", "0" * 64, None)
    spec = ModelSpec(
        schema_version=MODEL_SCHEMA,
        preset="stub",
        precision="fp32",
        opset=17,
        batch=batch,
        taps=(0,),
        inputs=(ImageInput(contracts.IMAGE, "uint8", HEIGHT_PX, WIDTH_PX, (128.0,) * 3, (64.0,) * 3, "cubic"),),
        gates=None,
        temperature=Temperature("dynamic" if dynamic_temperature else "none", 1.0, 1.0, ()),
        weights=Weights(() if random_seed is not None else (source,), random_seed, "stub", "Apache-2.0"),
        parity=Parity(0.0, 1e-4, 1),
        versions={},
        files={contracts.MODEL_FILE: sha256_of(model_folder / contracts.MODEL_FILE)},
    )
    write_text(model_folder / contracts.SIDECAR_FILE, to_json(spec))
    build_onnxruntime_bundle(model_folder, folder / "engine")
    return folder / "engine"


def _graph(batch: int, dynamic_temperature: bool) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info(contracts.IMAGE, TensorProto.UINT8, [batch, HEIGHT_PX, WIDTH_PX, 3])]
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
    output = helper.make_tensor_value_info(contracts.DEPTH, TensorProto.FLOAT, [batch, 1, HEIGHT_PX, WIDTH_PX])
    weights: Any = numpy_helper.from_array(LUMINANCE.reshape(3, 1), "luminance")
    graph = helper.make_graph(nodes, "stub", inputs, [output], [weights])
    # An old IR version, so that the oldest supported ONNX Runtime reads what the newest onnx wrote.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
