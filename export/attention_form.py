"""How `--attention plugin|native|plain` writes a graph, and what that costs in arithmetic."""

from __future__ import annotations

from pathlib import Path

import onnx

from briges.engines.lowering import AttentionNode, define, lowered
from briges.engines.onnx_graph import load_graph
from briges.engines.plugin.definition import extra_flop, relative_form
from briges.engines.plugin.layout import AttentionLayout
from briges.export.presets import Preset, SemanticSpec
from briges.runtime.errors import UsageError
from briges.runtime.sidecar import AttentionForm, Lowering, RelativeForm, Scope


def check_scope(lowering: Lowering, scope: Scope, preset: Preset) -> None:
    """Refuse a scope that leaves nothing for the plugin. Raises UsageError."""
    if scope != "all" and (lowering != "plugin" or not preset.gated):
        raise UsageError(
            subject=f"--plugin-scope {scope}",
            came=f"for --attention {lowering}" if preset.gated else f"for {preset.name}, which has no gates",
            expected="--attention plugin and a briges-* preset",
            cure="leave it out",
        )


def write_form(path: Path, form: AttentionForm) -> None:
    """Rewrite the graph at ``path``, in which every attention is one node, in the form that was asked for.

    What the plugin is not to compute becomes standard operators, "native" ones unless "plain" was asked for; the nodes
    that stay carry their definition as a function of the graph. The weights stay in their file.
    """
    model = load_graph(path)

    def standard(attention: AttentionNode) -> bool:
        return form.scope != "all" and not (form.scope and attention.node.name.startswith(f"{form.scope}."))

    define(model)
    onnx.save(lowered(model, "plain" if form.lowering == "plain" else "native", standard), path)


def describe_form(lowering: Lowering, scope: Scope, preset: Preset) -> AttentionForm:
    """The same for the sidecar, with what extra channels cost in GFLOP (2 per multiply-add) per image."""
    chosen = scope if lowering == "plugin" else None
    if preset.semantic is None:
        return AttentionForm(lowering, chosen, None, None, 0.0)
    if chosen in ("all", "semantic"):
        return AttentionForm(lowering, chosen, "plugin", "plugin", 0.0)
    spec = preset.semantic
    windowed, global_ = (_form(lowering, _layout(spec, side)) for side in (spec.window, spec.grid))
    windows = (-(-spec.grid // spec.window)) ** 2
    flop = 0
    for index in range(spec.depth):
        is_global = index in spec.global_blocks
        if (global_ if is_global else windowed) == "channels":
            flop += extra_flop(_layout(spec, spec.grid if is_global else spec.window), 1 if is_global else windows)
    return AttentionForm(lowering, chosen, windowed, global_, flop / 1e9)


def _form(lowering: Lowering, layout: AttentionLayout) -> RelativeForm | None:
    return relative_form("plain" if lowering == "plain" else "native", layout)


def _layout(spec: SemanticSpec, side: int) -> AttentionLayout:
    return AttentionLayout(spec.heads, spec.width // spec.heads, grid_height=side, grid_width=side)
