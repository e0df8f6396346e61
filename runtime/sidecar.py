"""The sidecar ``model.json`` the exporter writes beside its ONNX graphs: what the model is and how to feed it.

It travels on in the manifest of every bundle, so that a runtime needs nothing else. docs/formats.md describes every
field.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from briges.runtime import contracts
from briges.runtime.agreement import Agreement, Precision
from briges.runtime.errors import BundleError
from briges.runtime.verified import check_files, read_record, require_plain_names

MODEL_SCHEMA = 3

Lowering = Literal["plugin", "native", "plain"]
Scope = Literal["all", "gates", "semantic"]
RelativeForm = Literal["bias", "channels", "plugin"]


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
class Decision:
    """One row of the precision table: why a part of the network computes in its dtype.

    ``part``: module path, such as "geometry.blocks.3.mlp". ``largest``: the largest magnitude of its tensors on real
    photographs, None where it was not measured.
    """

    part: str
    dtype: Precision
    largest: float | None
    reason: str


@dataclass(frozen=True)
class AttentionForm:
    """How attention was written. ``scope``: whose attentions are nodes of the plugin's operator, None if nobody's.

    ``windowed`` and ``global_``: SAM's relative positions as a ``bias`` matrix on the logits, as extra ``channels`` of
    query and key, or left to the ``plugin``; None without SAM. ``extra_gflop``: what the channels cost.
    """

    lowering: Lowering
    scope: Scope | None
    windowed: RelativeForm | None
    global_: RelativeForm | None
    extra_gflop: float

    def __post_init__(self) -> None:
        if (self.lowering == "plugin") != (self.scope is not None):
            raise ValueError("the plugin has a scope, and nothing else has")


@dataclass(frozen=True)
class SizedGraph:
    """The graph of one fixed input size. ``agreement``: ONNX Runtime's output against fp32 PyTorch's on photographs,
    None when the check was switched off.
    """

    file: str
    inputs: tuple[ImageInput, ...]
    agreement: Agreement | None

    @property
    def image(self) -> ImageInput:
        """The depth branch's input; its size is the size of the depth map."""
        return self.inputs[0]

    @property
    def size(self) -> str:
        """Height x width of the depth input, such as "518x686"."""
        return f"{self.image.height_px}x{self.image.width_px}"

    def __post_init__(self) -> None:
        if [spec.name for spec in self.inputs] not in ([contracts.IMAGE], [contracts.IMAGE, contracts.SEMANTIC_IMAGE]):
            raise ValueError(f"inputs must be {contracts.IMAGE!r} and, for gated presets, {contracts.SEMANTIC_IMAGE!r}")
        if any(min(spec.height_px, spec.width_px) < 1 for spec in self.inputs):
            raise ValueError("input sizes must be positive")


@dataclass(frozen=True)
class ModelSpec:
    """The sidecar of an exported model: the same weights at one or more fixed sizes."""

    schema_version: int
    preset: str
    precision: Precision
    decisions: tuple[Decision, ...]  # the precision table; empty for fp32
    attention: AttentionForm
    opset: int
    batch: int
    taps: tuple[int, ...]
    graphs: tuple[SizedGraph, ...]
    gates: Gates | None  # None for presets without
    temperature: Temperature
    weights: Weights
    reference: str | None  # the .npz with fp32 PyTorch's depths of our photographs; None after --no-verify
    versions: dict[str, str]
    files: dict[str, str]  # file name -> sha256

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError("batch must be positive")
        if not self.graphs or len({graph.size for graph in self.graphs}) != len(self.graphs):
            raise ValueError("there must be graphs, each of another size")
        if len({graph.inputs[1:] for graph in self.graphs}) != 1:
            raise ValueError("all sizes must share one semantic input")
        require_plain_names(self.files)


def notices(model: ModelSpec) -> tuple[str, ...]:
    """What every user of this model must be told at every inference; empty for checked weights free to use."""
    told = []
    if model.weights.random_seed is not None:
        told.append(
            f"RANDOM WEIGHTS (seed {model.weights.random_seed}): latency is representative, the depth is meaningless"
        )
    if "-NC-" in model.weights.licence:
        told.append(f"NO COMMERCIAL USE of these weights: {model.weights.licence}")
    if model.reference is None:
        told.append("UNVERIFIED: this model was exported with --no-verify and never compared with PyTorch")
    return tuple(told)


def read_model(folder: Path) -> ModelSpec:
    """Read and verify a model folder (graphs, weights, sidecar). Raises BundleError."""
    remake = "export the model again with `briges export`"
    spec = read_record(folder / contracts.SIDECAR_FILE, ModelSpec, MODEL_SCHEMA, "model folder", remake)
    needed = {graph.file for graph in spec.graphs} | ({spec.reference} if spec.reference else set())
    if missing := sorted(needed - spec.files.keys()):
        raise BundleError(
            subject=f"model folder {folder}",
            came=f"{contracts.SIDECAR_FILE} lists the files {sorted(spec.files)}",
            expected=f"{', '.join(missing)} among them",
            cure=remake,
        )
    check_files(folder, spec.files.items(), "model folder", remake)
    return spec
