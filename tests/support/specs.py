"""Small valid sidecars and manifests, to be changed in one place per test."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from briges.runtime import contracts
from briges.runtime.files import sha256_of
from briges.runtime.manifest import (
    MANIFEST_SCHEMA,
    MODEL_SCHEMA,
    BundleFile,
    ImageInput,
    Manifest,
    ModelSpec,
    Parity,
    SourceFile,
    Temperature,
    Weights,
)
from briges.runtime.records import to_json

# In units of 0..255, as the networks were trained.
IMAGE_MEAN = (123.675, 116.28, 103.53)
IMAGE_STD = (58.395, 57.12, 57.375)

TRAINED = Weights((SourceFile("checkpoint", "stub.pth", "0" * 64, None),), None, "stub", "Apache-2.0")
RANDOM = Weights((), 7, "none", "none: random weights")


def depth_spec(height: int, width: int, dtype: Literal["uint8", "float32"] = "uint8") -> ImageInput:
    """The depth branch's input."""
    return ImageInput(contracts.IMAGE, dtype, height, width, IMAGE_MEAN, IMAGE_STD, "cubic")


def semantic_spec(side: int, dtype: Literal["uint8", "float32"] = "uint8") -> ImageInput:
    """The semantic branch's square input."""
    return ImageInput(contracts.SEMANTIC_IMAGE, dtype, side, side, IMAGE_MEAN, IMAGE_STD, "linear-antialiased-stretch")


def model_spec(**changes: Any) -> ModelSpec:
    """The sidecar of an ungated model of 56 x 70 pixels with trained weights."""
    spec = ModelSpec(
        schema_version=MODEL_SCHEMA,
        preset="stub",
        precision="fp32",
        opset=18,
        batch=1,
        taps=(2, 5, 8, 11),
        inputs=(depth_spec(56, 70),),
        gates=None,
        temperature=Temperature("none", 1.0, 1.0, ()),
        weights=TRAINED,
        parity=Parity(1e-6, 1e-4, 2),
        versions={"torch": "2.8"},
        files={contracts.MODEL_FILE: "0" * 64},
    )
    return dataclasses.replace(spec, **changes)


def manifest(**changes: Any) -> Manifest:
    """The manifest of a bundle of ``model_spec``."""
    made = Manifest(
        schema_version=MANIFEST_SCHEMA,
        flavour="onnxruntime",
        flavour_version="1.20.0",
        engine=contracts.MODEL_FILE,
        files={contracts.MODEL_FILE: BundleFile("0" * 64, 1)},
        model=model_spec(),
        built_at="2025-01-01T00:00:00+00:00",
        tool_version="0.1.0",
    )
    return dataclasses.replace(made, **changes)


def write_model_folder(folder: Path, graph: bytes = b"graph") -> Path:
    """Write files and a sidecar that records them."""
    hashes = _write(folder, graph)
    (folder / contracts.SIDECAR_FILE).write_text(to_json(model_spec(files=hashes)), encoding="utf-8")
    return folder


def write_bundle(folder: Path, graph: bytes = b"graph", model: ModelSpec | None = None) -> Path:
    """Write files and a manifest that records them."""
    files = {name: BundleFile(sha256, (folder / name).stat().st_size) for name, sha256 in _write(folder, graph).items()}
    made = manifest(files=files, model=model or model_spec())
    (folder / contracts.MANIFEST_FILE).write_text(to_json(made), encoding="utf-8")
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    """Replace top-level fields of a JSON file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | changes), encoding="utf-8")


def _write(folder: Path, graph: bytes) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / contracts.MODEL_FILE).write_bytes(graph)
    (folder / contracts.WEIGHTS_FILE).write_bytes(b"weights")
    return {name: sha256_of(folder / name) for name in (contracts.MODEL_FILE, contracts.WEIGHTS_FILE)}
