"""Model folders changed after their export, consistently: their hashes match, so that only the change itself tells."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper
from support.manifests import edit_json
from support.toy_network import Fault, write_toy

from briges.engines.onnx_graph import load_graph
from briges.runtime import contracts
from briges.runtime.agreement import Precision
from briges.runtime.files import sha256_of
from briges.runtime.records import to_json
from briges.runtime.sidecar import ModelSpec, read_model


def write_toy_model(folder: Path, precision: Precision, **faults: Fault) -> ModelSpec:
    """Write ``toy_network.write_toy`` as a model folder, as `briges export` would, and return its sidecar."""
    spec = write_toy(folder, precision, **faults)
    (folder / "fp32.onnx").unlink()
    (folder / "fp32.onnx.data").unlink()
    spec = dataclasses.replace(spec, files={path.name: sha256_of(path) for path in sorted(folder.iterdir())})
    (folder / contracts.SIDECAR_FILE).write_text(to_json(spec), encoding="utf-8")
    return spec


def change_graph(folder: Path, change: Callable[[ModelProto], None]) -> None:
    """Let ``change`` work on the first graph of a model folder."""
    name = read_model(folder).graphs[0].file
    model = load_graph(folder / name)
    change(model)
    onnx.save(model, folder / name)
    rehash(folder)


def spoil_reference(folder: Path) -> None:
    """Turn the depths that fp32 PyTorch is said to have given upside down."""
    with np.load(folder / contracts.REFERENCE_FILE) as arrays:
        depths = {name: array[..., ::-1, :] for name, array in arrays.items()}
    np.savez(folder / contracts.REFERENCE_FILE, **depths)
    rehash(folder)


def rehash(folder: Path) -> None:
    """Bring the sidecar's hashes up to date."""
    names = [path.name for path in sorted(folder.iterdir()) if path.name != contracts.SIDECAR_FILE]
    edit_json(folder / contracts.SIDECAR_FILE, files={name: sha256_of(folder / name) for name in names})


def plant_overflow(model: ModelProto, module: str) -> None:
    """Scale what ``module`` computes last out of float16's range, and back."""
    nodes = list(model.graph.node)
    last = max(index for index, node in enumerate(nodes) if node.name.rpartition("/")[0] == module)
    target = nodes[last].output[0]
    nodes[last].output[0] = "planted/0"
    for step, factor in enumerate((2.0**15, 2.0**-15)):
        model.graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float16), f"planted/factor{step}"))
        inputs, output = [f"planted/{step}", f"planted/factor{step}"], f"planted/{step + 1}" if step == 0 else target
        nodes.insert(last + 1 + step, helper.make_node("Mul", inputs, [output], f"{module}/planted_{step}"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
