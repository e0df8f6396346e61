"""Small valid sidecars and manifests of every flavour, each test changing what it is about; machines to judge by."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from briges.runtime import contracts
from briges.runtime.agreement import LIMITS, Agreement
from briges.runtime.compatibility import Machine
from briges.runtime.files import sha256_of
from briges.runtime.gpu import Device, Driver
from briges.runtime.manifest import (
    MANIFEST_SCHEMA,
    Attention,
    BuildOptions,
    BundleFile,
    Engine,
    Flavour,
    Gate,
    GateRow,
    Host,
    Manifest,
    Tensor,
)
from briges.runtime.records import to_json
from briges.runtime.sidecar import (
    MODEL_SCHEMA,
    AttentionForm,
    Decision,
    Gates,
    ImageInput,
    ModelSpec,
    SizedGraph,
    SourceFile,
    Temperature,
    Weights,
)

GOOD = Agreement(max_relative_error=2e-3, relative_l2=1e-3, correlation=0.99999, aligned_deviation=0.01, photographs=2)
RTX_4090 = Device("NVIDIA GeForce RTX 4090", "8.9", 24 << 30)
ORIN = Device("Orin", "8.7", 8 << 30)
NO_DRIVER = Driver(None, (), "no libcuda.so.1: no NVIDIA driver")
ENGINE_FILE = "model.engine"

# In units of 0..255, as the networks were trained.
IMAGE_MEAN = (123.675, 116.28, 103.53)
IMAGE_STD = (58.395, 57.12, 57.375)

TRAINED = Weights((SourceFile("checkpoint", "gates.pth", "ab" * 32, None),), None, "stub", "Apache-2.0")
RANDOM = Weights((), 7, "none", "none: random weights")


def depth_spec(height_px: int, width_px: int, dtype: Literal["uint8", "float32"] = "uint8") -> ImageInput:
    """The depth branch's input."""
    return ImageInput(contracts.IMAGE, dtype, height_px, width_px, IMAGE_MEAN, IMAGE_STD, "cubic")


def semantic_spec(side_px: int, dtype: Literal["uint8", "float32"] = "uint8") -> ImageInput:
    """The semantic branch's square input."""
    shape = side_px, side_px
    return ImageInput(contracts.SEMANTIC_IMAGE, dtype, *shape, IMAGE_MEAN, IMAGE_STD, "linear-antialiased-stretch")


def model(**changes: Any) -> ModelSpec:
    """A gated fp16 model of one size, with islands in its precision table."""
    decisions = [Decision(f"geometry.blocks.{i}.norm1", "fp32", 100.0 + i, "LayerNorm") for i in range(12)]
    decisions += [Decision(f"geometry.blocks.{i}.mlp", "fp16", 41.5, "half is enough") for i in range(12)]
    spec = ModelSpec(
        schema_version=MODEL_SCHEMA,
        preset="briges-tiny",
        precision="fp16",
        decisions=tuple(decisions),
        attention=AttentionForm("native", None, "channels", "bias", 1.25),
        opset=18,
        batch=1,
        taps=(2, 5, 8, 11),
        graphs=(SizedGraph(contracts.MODEL_FILE, (depth_spec(56, 70), semantic_spec(64)), GOOD),),
        gates=Gates(12, "pool"),
        temperature=Temperature("folded", 3.0, 1.0, ()),
        weights=TRAINED,
        reference=contracts.REFERENCE_FILE,
        versions={"torch": "2.13.0"},
        files={contracts.MODEL_FILE: "0" * 64, contracts.REFERENCE_FILE: "0" * 64},
    )
    return dataclasses.replace(spec, **changes)


def options(**changes: Any) -> BuildOptions:
    """Build options, the flavour's defaults."""
    return dataclasses.replace(BuildOptions(False, None, None, (), False, False, False, False), **changes)


def manifest(flavour: Flavour, version: str, **changes: Any) -> Manifest:
    """A bundle of one engine, built on a Linux PC with an RTX 4090."""
    size = changes.get("model", model()).graphs[0].size
    image = Tensor(contracts.IMAGE, "uint8", (1, 56, 70, 3))
    depth = Tensor(contracts.DEPTH, "float32", (1, 1, 56, 70))
    layers = {f"KIND_{index}": 20 - index for index in range(10)}
    engine = Engine("model", size, ENGINE_FILE, "cd" * 32, (image,), (depth,), 2_000_000, 3_000_000, layers)
    made = Manifest(
        schema_version=MANIFEST_SCHEMA,
        flavour=flavour,
        flavour_version=version,
        engines=(engine,),
        options=options(),
        host=Host("Linux x86_64", RTX_4090.name, "13.0", None),
        gate=Gate(LIMITS["fp16"], (GateRow("onnx", size, GOOD, None), GateRow("engine", size, None, "no GPU")), ()),
        repair=None,
        attention=Attention("native", None, None),
        request="ef" * 32,
        files={ENGINE_FILE: BundleFile("0" * 64, 5_500_000)},
        model=model(),
        built_at="2026-01-01T00:00:00+00:00",
        tool_version="0.1.0",
    )
    return dataclasses.replace(made, **changes)


def machine(library: str | None, *devices: Device, **changes: Any) -> Machine:
    """A Linux PC with a recent driver and these GPUs."""
    driver = Driver("13.0", devices, None) if devices else NO_DRIVER
    return dataclasses.replace(Machine("Linux x86_64", library, 13, driver), **changes)


def write_bundle(folder: Path, made: Manifest) -> Path:
    """Write the manifest and files that match it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in made.files:
        (folder / name).write_bytes(b"engine " * 1000)
        files[name] = BundleFile(sha256_of(folder / name), (folder / name).stat().st_size)
    written = dataclasses.replace(made, files=files)
    (folder / contracts.MANIFEST_FILE).write_text(to_json(written), encoding="utf-8")
    return folder


def write_model_folder(folder: Path, spec: ModelSpec) -> Path:
    """Write the sidecar and files that match it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in spec.files:
        (folder / name).write_bytes(b"graph " * 1000)
    files = {name: sha256_of(folder / name) for name in spec.files}
    (folder / contracts.SIDECAR_FILE).write_text(to_json(dataclasses.replace(spec, files=files)), encoding="utf-8")
    return folder


def edit_json(path: Path, **changes: Any) -> None:
    """Replace top-level fields of a JSON file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | changes), encoding="utf-8")


def replace_file(bundle: Path, name: str, content: bytes) -> None:
    """Overwrite one file of a bundle so that its manifest does not notice."""
    (bundle / name).write_bytes(content)
    files = json.loads((bundle / contracts.MANIFEST_FILE).read_text(encoding="utf-8"))["files"]
    files[name] = {"sha256": sha256_of(bundle / name), "size_bytes": len(content)}
    edit_json(bundle / contracts.MANIFEST_FILE, files=files)
