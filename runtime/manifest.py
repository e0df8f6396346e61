"""What is written beside a model and an engine, so that a runtime needs nothing else and can refuse what it must.

``ModelSpec`` is the sidecar ``model.json`` the exporter writes beside ``model.onnx``. ``Manifest`` is ``manifest.json``
of an engine bundle: it embeds the sidecar and adds what was built. Both are schema-versioned; docs/formats.md describes
every field.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from briges.runtime import contracts
from briges.runtime.errors import BundleError
from briges.runtime.files import sha256_of
from briges.runtime.records import RecordError, from_object, parse_json

MODEL_SCHEMA = 1
MANIFEST_SCHEMA = 1

Record = TypeVar("Record", bound="ModelSpec | Manifest")


@dataclass(frozen=True)
class ImageInput:
    """One image tensor of the model.

    ``dtype`` "uint8": [B, H, W, 3] RGB 0..255. "float32": [B, 3, H, W], (value - mean) / std per channel, mean and std
    in units of 0..255. ``resize`` "cubic": the depth branch; "linear-antialiased-stretch": the semantic branch.
    """

    name: str
    dtype: Literal["uint8", "float32"]
    height_px: int
    width_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Literal["cubic", "linear-antialiased-stretch"]

    def __post_init__(self) -> None:
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError("mean and std must hold three numbers each, those of std above 0")

    def shape(self, batch: int) -> tuple[int, ...]:
        """Shape of the tensor for ``batch`` images."""
        if self.dtype == "uint8":
            return (batch, self.height_px, self.width_px, 3)
        return (batch, 3, self.height_px, self.width_px)


@dataclass(frozen=True)
class Temperature:
    """Divisors of the gates' attention logits: folded into the weights, or an input of the graph.

    ``cross`` and ``self_attention`` are what was folded, 1.0 when dynamic. ``learned`` has the (cross, self) that the
    checkpoint itself had learned for each gate, which are always folded, in addition; it is empty if there are none.
    """

    mode: Literal["folded", "dynamic", "none"]
    cross: float
    self_attention: float
    learned: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Gates:
    """The Bridging Gates as exported: variants of a preset differ here, and state dicts do not record the heads."""

    heads: int
    aligner: Literal["pool", "conv"]


@dataclass(frozen=True)
class SourceFile:
    """A weight file the model was made from."""

    role: Literal["checkpoint", "depth-weights", "semantic-weights"]
    name: str
    sha256: str
    known_as: str | None  # the public file this is, by checksum


@dataclass(frozen=True)
class Weights:
    """Where the weights came from: files, or ``random_seed``. Exactly one of the two."""

    files: tuple[SourceFile, ...]
    random_seed: int | None
    layout: str
    licence: str

    def __post_init__(self) -> None:
        if bool(self.files) == (self.random_seed is not None):
            raise ValueError("weights come either from files or from a random seed")


@dataclass(frozen=True)
class Parity:
    """PyTorch against ONNX Runtime at export: max |a - b| / max |a| over ``photographs`` real photographs."""

    max_relative_error: float
    threshold: float
    photographs: int


@dataclass(frozen=True)
class ModelSpec:
    """The sidecar of an exported model. ``parity`` is None when the check was switched off."""

    schema_version: int
    preset: str
    precision: Literal["fp32"]
    opset: int
    batch: int
    taps: tuple[int, ...]
    inputs: tuple[ImageInput, ...]
    gates: Gates | None  # None for presets without
    temperature: Temperature
    weights: Weights
    parity: Parity | None
    versions: dict[str, str]
    files: dict[str, str]  # file name -> sha256

    @property
    def image(self) -> ImageInput:
        """The depth branch's input; its size is the size of the depth map."""
        return self.inputs[0]

    def __post_init__(self) -> None:
        if [spec.name for spec in self.inputs] not in ([contracts.IMAGE], [contracts.IMAGE, contracts.SEMANTIC_IMAGE]):
            raise ValueError(f"inputs must be {contracts.IMAGE!r} and, for gated presets, {contracts.SEMANTIC_IMAGE!r}")
        if self.batch < 1 or any(min(spec.height_px, spec.width_px) < 1 for spec in self.inputs):
            raise ValueError("batch and input sizes must be positive")
        _require_plain_names(self.files)


@dataclass(frozen=True)
class BundleFile:
    """A file of a bundle."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What an engine bundle is: the flavour that runs ``engine``, its files, and the model it was built from."""

    schema_version: int
    flavour: Literal["onnxruntime"]
    flavour_version: str  # the library the bundle was checked with when it was built
    engine: str
    files: dict[str, BundleFile]
    model: ModelSpec
    built_at: str  # UTC, ISO 8601
    tool_version: str

    def __post_init__(self) -> None:
        if self.model.schema_version != MODEL_SCHEMA:
            raise ValueError(f"its model has schema version {self.model.schema_version!r}, expected {MODEL_SCHEMA}")
        if self.engine not in self.files:
            raise ValueError(f"the engine {self.engine!r} is not among the files")
        _require_plain_names(self.files)


def _require_plain_names(names: Iterable[str]) -> None:
    # A path here would have files outside the folder read, copied into a bundle, or overwritten.
    for name in names:
        if Path(name).name != name or name in ("", ".", ".."):
            raise ValueError(f"{name!r} is not a plain file name")


def notices(model: ModelSpec) -> tuple[str, ...]:
    """What every user of this model must be told at every inference; empty for checked weights free to use."""
    told = []
    if model.weights.random_seed is not None:
        told.append(
            f"RANDOM WEIGHTS (seed {model.weights.random_seed}): latency is representative, the depth is meaningless"
        )
    if "-NC-" in model.weights.licence:
        told.append(f"NO COMMERCIAL USE of these weights: {model.weights.licence}")
    if model.parity is None:
        told.append("UNVERIFIED: this model was exported with --no-verify and never compared with PyTorch")
    return tuple(told)


def read_model(folder: Path) -> ModelSpec:
    """Read and verify a model folder (graph, weights, sidecar). Raises BundleError."""
    remake = "export the model again with `briges export`"
    spec = _read(folder / contracts.SIDECAR_FILE, ModelSpec, MODEL_SCHEMA, "model folder", remake)
    if contracts.MODEL_FILE not in spec.files:
        raise BundleError(
            subject=f"model folder {folder}",
            came=f"{contracts.SIDECAR_FILE} lists the files {sorted(spec.files)}",
            expected=f"{contracts.MODEL_FILE} among them",
            cure=remake,
        )
    _check_files(folder, spec.files.items(), "model folder", remake)
    return spec


def read_manifest(folder: Path) -> Manifest:
    """Read and verify a bundle: nothing in it is used before every file's hash matched. Raises BundleError."""
    remake = "build it again with `make engine` or `briges build`"
    manifest = _read(folder / contracts.MANIFEST_FILE, Manifest, MANIFEST_SCHEMA, "bundle", remake)
    _check_files(folder, ((name, file.sha256) for name, file in manifest.files.items()), "bundle", remake)
    return manifest


def _read(path: Path, kind: type[Record], schema: int, what: str, remake: str) -> Record:
    subject = f"{what} {path.parent}"
    if not os.path.isfile(path):  # unlike Path.is_file, no exception for names the file system cannot have
        found = "is not a folder" if os.path.exists(path.parent) else "does not exist"
        came = f"has no {path.name}" if os.path.isdir(path.parent) else found
        raise BundleError(subject=subject, came=came, expected=f"a folder holding {path.name}", cure=remake)
    try:
        raw = parse_json(path.read_bytes())
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if version != schema:
            raise BundleError(
                subject=subject,
                came=f"{path.name} has schema version {version!r}",
                expected=f"schema version {schema}",
                cure=f"{remake}, or install the briges-trt release that wrote it",
            )
        return from_object(kind, raw)
    except (RecordError, OSError) as error:
        raise BundleError(
            subject=subject, came=f"{path.name} is damaged: {error}", expected="an untouched file", cure=remake
        ) from error


def _check_files(folder: Path, expected: Iterable[tuple[str, str]], what: str, remake: str) -> None:
    for name, sha256 in expected:
        path = folder / name
        try:
            if not os.path.isfile(path):
                came = f"the file {name} is missing"
            elif (found := sha256_of(path)) != sha256:
                came = f"{name} has sha256 {found[:12]}…, recorded was {sha256[:12]}…"
            else:
                continue
        except OSError as error:
            came = f"{name} cannot be read: {error.strerror}"
        raise BundleError(subject=f"{what} {folder}", came=came, expected="every file as it was written", cure=remake)
