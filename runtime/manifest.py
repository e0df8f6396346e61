"""The manifest of an engine bundle: what was built, for what, from what, and how it was checked.

Nothing in a bundle is used before its manifest was read and every file's hash matched. docs/formats.md describes every
field.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from briges.runtime import contracts, sidecar
from briges.runtime.agreement import Agreement, Limits, Precision
from briges.runtime.agreement import violations as violations_of
from briges.runtime.errors import BundleError
from briges.runtime.sidecar import MODEL_SCHEMA, Lowering, ModelSpec
from briges.runtime.verified import check_files, read_record, require_plain_names

MANIFEST_SCHEMA = 3

Flavour = Literal["onnxruntime", "tensorrt", "tensorrt-rtx"]
DType = Literal["uint8", "float32", "float16", "bfloat16"]
Part = Literal["model", "geometry", "semantic", "fusion"]

REBUILD = "build it again with `make engine` or `briges build`"


@dataclass(frozen=True)
class Tensor:
    """An input or output of an engine."""

    name: str
    dtype: DType
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Engine:
    """One engine file. ``part``: the whole "model", or a third of it after `--split`. ``size``: the input size it
    serves, such as "518x686", None if it serves every size.

    ``activation_bytes``: device memory for intermediate results, from the builder. ``layers``: how many of each type
    the network had when it was given to the builder. ``build_s``: seconds TensorRT took to read the graph and build.
    ``plugin_layers``: how many of them are the attention plugin's. The others are unknown (None, empty) for ONNX
    Runtime.
    """

    part: Part
    size: str | None
    file: str
    onnx_sha256: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights_bytes: int | None
    activation_bytes: int | None
    layers: dict[str, int]
    build_s: float | None = None
    plugin_layers: int = 0


@dataclass(frozen=True)
class BuildOptions:
    """How the engines were built. None and empty: the flavour's own default."""

    split: bool
    workspace_bytes: int | None
    optimization_level: int | None
    compute_capabilities: tuple[str, ...]  # "8.6"; those the engines were made for, or the device's own
    hardware_compatible: bool
    version_compatible: bool
    strip_weights: bool
    embed_plugin: bool


@dataclass(frozen=True)
class Plugin:
    """The attention plugin's library in the bundle: which file it is, and what it was made of.

    ``compute_capabilities``: the GPUs with kernels of their own. ``kernel_sources``: hash of the kernels' sources.
    """

    file: str
    version: str
    triton: str
    tensorrt_headers: str
    kernel_sources: str
    compute_capabilities: tuple[str, ...]


@dataclass(frozen=True)
class Attention:
    """What became of the attentions: ``plugin`` is None unless the engines need its library. ``fell_back``: why they
    do not, where the plugin was the first choice.
    """

    lowering: Lowering
    plugin: Plugin | None
    fell_back: str | None


@dataclass(frozen=True)
class Host:
    """Where it was built; None where there is none or it is not known. ``l4t``: Jetson Linux release."""

    platform: str  # "Linux x86_64"
    device: str | None
    driver: str | None  # the CUDA version the driver supports
    l4t: str | None


@dataclass(frozen=True)
class GateRow:
    """One comparison with fp32 PyTorch on photographs. ``agreement`` is None where it could not run, ``skipped`` then
    says why.
    """

    subject: Literal["onnx", "engine"]
    size: str
    agreement: Agreement | None
    skipped: str | None


@dataclass(frozen=True)
class Gate:
    """The verdict every build ends with. ``violations``: what was outside ``limits``, in words."""

    limits: Limits
    rows: tuple[GateRow, ...]
    violations: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether what could run here stayed inside the limits."""
        return not self.violations


def judge(rows: Iterable[GateRow], limits: Limits) -> tuple[str, ...]:
    """What is outside ``limits``, in words; rows that were skipped violate nothing."""
    ran = ((row, row.agreement) for row in rows if row.agreement is not None)
    return tuple(f"{row.subject} {row.size}: {text}" for row, found in ran for text in violations_of(found, limits))


@dataclass(frozen=True)
class Repair:
    """Parts of the network that ``--repair`` put into another precision, and what that cost over all engines."""

    parts: tuple[str, ...]
    dtype: Precision
    engine_bytes_before: int
    engine_bytes_after: int
    activation_bytes_before: int | None
    activation_bytes_after: int | None


@dataclass(frozen=True)
class BundleFile:
    """A file of a bundle."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Manifest:
    """What an engine bundle is. ``request``: a hash of everything that determined it, so that a build of the same is
    recognised; ``gate`` is None for a model exported with --no-verify, which has no reference.
    """

    schema_version: int
    flavour: Flavour
    flavour_version: str  # the exact library it was built with
    engines: tuple[Engine, ...]
    options: BuildOptions
    host: Host
    gate: Gate | None
    repair: Repair | None
    attention: Attention
    request: str
    files: dict[str, BundleFile]
    model: ModelSpec
    built_at: str  # UTC, ISO 8601
    tool_version: str

    def __post_init__(self) -> None:
        if self.model.schema_version != MODEL_SCHEMA:
            raise ValueError(f"its model has schema version {self.model.schema_version!r}, expected {MODEL_SCHEMA}")
        sizes = {graph.size for graph in self.model.graphs}
        for engine in self.engines:
            if engine.file not in self.files:
                raise ValueError(f"the engine {engine.file!r} is not among the files")
            if engine.size is not None and engine.size not in sizes:
                raise ValueError(f"the engine {engine.file!r} is for size {engine.size}, which the model has not")
        wanted = {("geometry", "semantic", "fusion"), ("geometry", "fusion")} if self.options.split else {("model",)}
        for size in sizes:
            if tuple(engine.part for engine in self.engines_of(size)) not in wanted:
                raise ValueError(f"the engines of size {size} are incomplete")
        plugin = self.attention.plugin
        if (self.attention.lowering == "plugin") != (plugin is not None):
            raise ValueError("its attention is the plugin's, and there is no plugin, or the other way round")
        if plugin is not None and plugin.file not in self.files:
            raise ValueError(f"the plugin {plugin.file!r} is not among the files")
        require_plain_names(self.files)

    def engines_of(self, size: str) -> tuple[Engine, ...]:
        """The engines that serve ``size``, in the order they run."""
        order = ("model", "geometry", "semantic", "fusion")
        return tuple(sorted((e for e in self.engines if e.size in (size, None)), key=lambda e: order.index(e.part)))


def notices(manifest: Manifest) -> tuple[str, ...]:
    """What every user of this bundle must be told at every inference; empty for a checked one free to use."""
    told = sidecar.notices(manifest.model)
    if manifest.gate is not None and not manifest.gate.passed:
        told += (f"FAILED ITS NUMERIC GATE, built with --allow-unverified: {'; '.join(manifest.gate.violations)}",)
    return told


def read_manifest(folder: Path) -> Manifest:
    """Read and verify a bundle: nothing in it is used before every file's hash matched. Raises BundleError."""
    manifest = read_record(folder / contracts.MANIFEST_FILE, Manifest, MANIFEST_SCHEMA, "bundle", REBUILD)
    gate = manifest.gate
    if gate is not None and gate.violations != judge(gate.rows, gate.limits):
        raise BundleError(
            subject=f"bundle {folder}",
            came=f"{contracts.MANIFEST_FILE} was altered: the verdict of its gate does not follow from its figures",
            expected="the manifest as it was written",
            cure=REBUILD,
        )
    check_files(folder, ((name, file.sha256) for name, file in manifest.files.items()), "bundle", REBUILD)
    return manifest
