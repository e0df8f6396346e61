"""`--attention`: what an engine's attentions become, decided before anything is built, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from onnx import ModelProto, TensorProto

from briges.engines.lowering import AttentionNode, attention_nodes, lowered, runs_as_plugin
from briges.engines.plugin.build_library import ready_plugin
from briges.engines.plugin.record import LIBRARY_FILE, PluginBuild
from briges.engines.plugin.variants import COLUMNS, HEAD_BLOCKS, HalfType, columns_of
from briges.engines.spec import EngineSpec
from briges.engines.watcher import Watcher
from briges.runtime.compatibility import RTX_DEFAULT_COMPUTE_CAPABILITIES
from briges.runtime.errors import BuildError, MissingExtraError, OutputError, UsageError
from briges.runtime.flavour import library_version
from briges.runtime.gpu import read_driver
from briges.runtime.sidecar import Lowering, ModelSpec
from briges.runtime.versions import parse_version

_FIRST_RTX_WITH_PLUGINS = (1, 7)
# Triton has no matrix instructions for it: the kernels are right there, and slow.
_TURING = "7.5"

Asked = Literal["auto", "plugin", "native", "plain"]


@dataclass(frozen=True)
class Library:
    """A plugin library ready to load: its file, and what it is."""

    path: Path
    build: PluginBuild

    @property
    def sha256(self) -> str:
        """Of the file."""
        return self.build.files[LIBRARY_FILE]


@dataclass(frozen=True)
class Choice:
    """What was decided. ``plugin_library``: None unless it is the plugin. ``fell_back``: why not the plugin, where
    "auto" would have taken it.
    """

    lowering: Lowering
    plugin_library: Library | None = None
    fell_back: str | None = None

    def applied(self, model: ModelProto) -> ModelProto:
        """``model`` as it is judged and repaired: the plugin's nodes, and those ONNX Runtime is to run, stay."""
        if self.lowering == "plugin":
            return model
        return lowered(model, self.lowering, lambda _attention: True)

    def for_tensorrt(self, model: ModelProto) -> ModelProto:
        """``model`` as TensorRT gets it: what the plugin cannot compute, such as a repaired attention, is native."""
        return lowered(model, "native", lambda attention: self.plugin_library is None or not runs_as_plugin(attention))


def choose_attention(
    asked: Asked,
    model: ModelSpec,
    graphs: Mapping[str, ModelProto],
    spec: EngineSpec,
    plugin_folder: Path,
    watcher: Watcher,
) -> Choice:
    """Decide, and build the plugin if it is wanted and not there.

    graphs: size -> its graph. "auto" takes the plugin where it can be had, and says why where it cannot.
    Raises UsageError for what the model or the flavour does not allow; with "plugin", MissingExtraError where its
    library cannot be built here, BuildError where it has no kernel for what was asked for.
    """
    _check_asked(asked, model, spec)
    exported = model.attention.lowering
    if exported != "plugin":
        return Choice(exported)
    if asked in ("native", "plain"):
        return Choice(asked)
    if spec.flavour == "onnxruntime":
        if asked == "plugin":
            raise UsageError(
                subject="--attention plugin",
                came="for --flavour onnxruntime",
                expected="a flavour that has plugins",
                cure="leave it out: ONNX Runtime runs the operator's definition; or use a TensorRT flavour",
            )
        return Choice("plain")
    if asked == "auto" and not spec.embed_plugin and _TURING in {*_targets(spec), *_at_hand()}:
        return Choice("native", fell_back=f"compute capability {_TURING} has no matrix instructions for its kernels")
    found = [attention for graph in graphs.values() for attention in attention_nodes(graph)]
    try:
        return Choice("plugin", _library(found, spec, plugin_folder, watcher))
    except (MissingExtraError, _NotServedError) as error:
        if asked == "plugin" or spec.embed_plugin:
            raise
        return Choice("native", fell_back=f"{error.subject}: {error.came}")


def _check_asked(asked: Asked, model: ModelSpec, spec: EngineSpec) -> None:
    exported, scope = model.attention.lowering, model.attention.scope
    if spec.embed_plugin and (exported != "plugin" or asked in ("native", "plain")):
        raise UsageError(
            subject="--embed-plugin",
            came=f"for {exported if exported != 'plugin' else asked} attention",
            expected="engines that need the plugin",
            cure="leave it out, or use --attention plugin",
        )
    if exported != "plugin" and asked not in ("auto", exported):
        raise UsageError(
            subject=f"--attention {asked}",
            came=f"for a model exported with --attention {exported}",
            expected=f"{exported}, which is written into its graph",
            cure="export it with --attention plugin, the default, which can be built in every form",
        )
    if asked == "plain" and scope in ("gates", "semantic"):
        raise UsageError(
            subject="--attention plain",
            came=f"for a model exported with --plugin-scope {scope}",
            expected="a model whose attentions are all still open: the others are written natively",
            cure="export it with --plugin-scope all, the default, or with --attention plain",
        )


class _NotServedError(BuildError):
    """The plugin has no kernel for what was asked for."""


def _library(found: list[AttentionNode], spec: EngineSpec, folder: Path, watcher: Watcher) -> Library:
    if not any(runs_as_plugin(attention) for attention in found):
        raise _NotServedError(
            subject="the attention plugin",
            came="this model computes its attentions in float32, and the kernels compute in fp16 and bf16 alone",
            expected="a half model",
            cure="use --attention native, or export with --precision fp16",
        )
    _require_layouts(found)
    _require_plugins(spec)
    targets = _targets(spec)
    # The library looks at the GPU of the machine that builds, too, where there is one.
    gpus = {*targets, *_at_hand()}
    for capability in gpus:
        _require_architecture(capability)
    try:
        build = ready_plugin(folder, watcher, needed=targets)
    except OutputError as error:
        raise _NotServedError(
            subject=f"plugin folder {folder}",
            came=error.came,
            expected="a folder to build the plugin's library in",
            cure="name one with --plugin, or use --attention native",
        ) from error
    for capability in gpus:
        _require_kernels(build, capability, found)
    return Library(folder / LIBRARY_FILE, build)


def _require_plugins(spec: EngineSpec) -> None:
    """TensorRT-RTX 1.4 to 1.6 load a plugin library, and have no layer to put a plugin into."""
    version = library_version("tensorrt-rtx") if spec.flavour == "tensorrt-rtx" else None
    if version is not None and parse_version(version) < _FIRST_RTX_WITH_PLUGINS:
        raise _NotServedError(
            subject="the attention plugin",
            came=f"TensorRT-RTX {version} has no plugin layers",
            expected=f"version {'.'.join(map(str, _FIRST_RTX_WITH_PLUGINS))} or later",
            cure="use --attention native, or pip install 'tensorrt-rtx-cu13>=1.7'",
        )


def _targets(spec: EngineSpec) -> tuple[str, ...]:
    """The GPUs the engine is for; none where it is the one TensorRT finds by itself."""
    if spec.flavour == "tensorrt-rtx":
        return spec.compute_capabilities or RTX_DEFAULT_COMPUTE_CAPABILITIES
    return _at_hand()


def _at_hand() -> tuple[str, ...]:
    return tuple(device.compute_capability for device in read_driver().devices[:1])


def _require_layouts(found: list[AttentionNode]) -> None:
    """What no library of ours serves, told before one is built."""
    for attention in found:
        layout = attention.layout
        if layout.head_dim not in HEAD_BLOCKS:
            came, expected = f"heads of {layout.head_dim} channels", f"head_dim {', '.join(map(str, HEAD_BLOCKS))}"
        elif columns_of(layout.grid_height, layout.grid_width) is None:
            came, expected = f"grids of {layout.grid_height}x{layout.grid_width}", f"sides up to {max(COLUMNS)}"
        else:
            continue
        raise _NotServedError(
            subject="the attention plugin",
            came=f"it has no kernel for {came} ({attention.node.name})",
            expected=expected,
            cure="use --attention native",
        )


def _require_architecture(capability: str) -> None:
    """What no library of ours will ever serve must not be compiled for."""
    if parse_version(capability) < parse_version(_TURING):
        raise _NotServedError(
            subject="the attention plugin",
            came=f"it has no kernels for compute capability {capability}",
            expected=f"{_TURING} or newer",
            cure="use --attention native",
        )


def _require_kernels(build: PluginBuild, capability: str, found: list[AttentionNode]) -> None:
    for attention in filter(runs_as_plugin, found):
        layout = attention.layout
        half_type: HalfType = "bf16" if attention.element_type == TensorProto.BFLOAT16 else "fp16"
        columns = columns_of(layout.grid_height, layout.grid_width)
        if columns is None or not build.serves(capability, layout.head_dim, half_type, columns):
            grid = f" and grids of {layout.grid_height}x{layout.grid_width}" if layout.relative else ""
            raise _NotServedError(
                subject="the attention plugin",
                came=f"no {half_type} kernel for compute capability {capability}, head_dim {layout.head_dim}{grid}",
                expected="one of those in kernels.md",
                cure="use --attention native, or leave out that --compute-capability",
            )
