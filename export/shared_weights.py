"""Saving graphs of several input sizes beside one file of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from briges.runtime import contracts
from briges.runtime.files import sha256_of

# Tensors computed from the input size; they stay inside the graph, so that the weights are the same for all sizes.
_SIZED = ("geometry.positions",)
_SMALL_BYTES = 256


def save_sharing_weights(model: Any, path: Path) -> None:
    """Write ``model`` (an onnx_ir Model) to ``path``, its weights to WEIGHTS_FILE beside it.

    Where that file is there already and holds the same weights, as for another size of the same model, it is shared;
    otherwise the weights go to a file of the graph's own.
    """
    import onnx
    import onnx_ir

    large = [
        value
        for value in model.graph.initializers.values()
        if value.const_value.nbytes > _SMALL_BYTES and not value.name.endswith(_SIZED)
    ]
    shared = path.parent / contracts.WEIGHTS_FILE
    first = not shared.exists()
    own = shared.name if first else f"{path.name}.data"
    tensors = onnx_ir.external_data.convert_tensors_to_external([v.const_value for v in large], path.parent, own)
    for value, tensor in zip(large, tensors, strict=True):
        value.const_value = tensor
    proto = onnx_ir.serde.serialize_model(model)
    if not first and sha256_of(path.parent / own) == sha256_of(shared):
        for initializer in proto.graph.initializer:
            for entry in initializer.external_data:
                if entry.key == "location":
                    entry.value = shared.name
        (path.parent / own).unlink()
    onnx.save(proto, path)
