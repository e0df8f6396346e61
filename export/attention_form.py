"""How `--attention native|plain` writes SAM's relative positions, and what that costs in arithmetic."""

from __future__ import annotations

from typing import Literal

from briges.export.presets import Preset, SemanticSpec
from briges.export.sam import RelativeForm, wide_head_dim
from briges.runtime.sidecar import AttentionForm

Lowering = Literal["native", "plain"]

# Whichever costs less for each kind of block (docs/adr/0009). Of a global block the bias is 403 MB for ViT-B in half,
# and channels are what makes TensorRT fuse it; of all windows together it is 23 MB, fewer than the wider query, key and
# value that channels need.
_FORMS: dict[Lowering, RelativeForm] = {
    "native": RelativeForm(windowed="bias", global_="channels"),
    "plain": RelativeForm(windowed="bias", global_="bias"),
}


def relative_form(lowering: Lowering) -> RelativeForm:
    """The form of each kind of SAM block."""
    return _FORMS[lowering]


def describe_form(lowering: Lowering, preset: Preset) -> AttentionForm:
    """The same for the sidecar, with what extra channels cost in GFLOP (2 per multiply-add) per image."""
    if preset.semantic is None:
        return AttentionForm(lowering, None, None, 0.0)
    form, spec = relative_form(lowering), preset.semantic
    extra_flop = 0
    for index in range(spec.depth):
        is_global = index in spec.global_blocks
        if (form.global_ if is_global else form.windowed) == "channels":
            extra_flop += _extra_flop(spec, 0 if is_global else spec.window)
    return AttentionForm(lowering, form.windowed, form.global_, extra_flop / 1e9)


def _extra_flop(spec: SemanticSpec, window: int) -> int:
    side = window or spec.grid
    sequences = (-(-spec.grid // side)) ** 2
    head_dim = spec.width // spec.heads
    extra_channels = wide_head_dim(head_dim, side) - head_dim
    # Two products, query with key and weights with value, each side^2 x side^2 x extra per head.
    return 2 * 2 * sequences * spec.heads * side**4 * extra_channels
