"""What `briges export` reads from its options and says of its result."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from briges.export.presets import find_preset
from briges.runtime.agreement import LIMITS, headroom
from briges.runtime.errors import UsageError
from briges.runtime.main import with_options
from briges.runtime.sidecar import AttentionForm, Lowering, ModelSpec, Scope

Command = TypeVar("Command", bound=Callable[..., Any])

_SIZE = re.compile(r"(\d{1,6})x(\d{1,6})")


class SizeParam(click.ParamType[tuple[int, int]]):
    """HEIGHTxWIDTH in pixels, as (height, width)."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Read "518x686"."""
        found = _SIZE.fullmatch(str(value).strip().lower())
        if found is None:
            self.fail(f"{value!r} is not HEIGHTxWIDTH in pixels, such as 518x686", param, ctx)
        return int(found[1]), int(found[2])


def weight_options(command: Command) -> Command:
    """The options that name weight files."""
    options = (
        click.option(
            "--checkpoint", type=Path, help="Weights: .pth, .pt or .safetensors, the authors' or the public ones."
        ),
        click.option(
            "--depth-weights", type=Path, help="Public Depth Anything file, for a checkpoint of the gates alone."
        ),
        click.option("--semantic-weights", type=Path, help="Public SAM file, for a checkpoint of the gates alone."),
    )
    return with_options(command, options)


def size_options(command: Command) -> Command:
    """The options that say for which input sizes to export."""
    options = (
        click.option("--height", type=int, help="Input height in pixels, a multiple of 14.  [default: 518]"),
        click.option("--width", type=int, help="Input width in pixels, a multiple of 14.  [default: 518]"),
        click.option(
            "--size",
            "sizes",
            type=SizeParam(),
            multiple=True,
            help="Both as HEIGHTxWIDTH; repeat it for several in one bundle.",
        ),
    )
    return with_options(command, options)


def attention_options(command: Command) -> Command:
    """The options that say what attention becomes."""
    lowerings, scopes = (click.Choice(get_args(kind)) for kind in (Lowering, Scope))
    options = (
        click.option(
            "--attention",
            type=lowerings,
            default="plugin",
            show_default=True,
            help="plugin: one node each, which `briges build` gives to the plugin or writes as it likes; native: as "
            "TensorRT fuses it by itself; plain: the literal form.",
        ),
        click.option(
            "--plugin-scope", "scope", type=scopes, default="all", show_default=True, help="Whose the plugin gets."
        ),
    )
    return with_options(command, options)


def choose_sizes(
    preset: str, height_px: int | None, width_px: int | None, sizes: tuple[tuple[int, int], ...]
) -> tuple[tuple[int, int], ...]:
    """The sizes to export: those of --size, or the one of --height and --width, which default to the preset's own.

    Raises UsageError if both were given, UnknownNameError for a preset that does not exist.
    """
    own = find_preset(preset)
    if height_px is None and width_px is None:
        return sizes
    if sizes:
        raise UsageError(
            subject="--height, --width",
            came="given beside --size",
            expected="one or the other",
            cure="use --size alone",
        )
    return ((own.height_px if height_px is None else height_px, own.width_px if width_px is None else width_px),)


def _attention(form: AttentionForm) -> str:
    cost = f", {form.extra_gflop:.3g} GFLOP more than plain, for activation memory" if form.extra_gflop else ""
    if form.scope is None:
        return f"{form.lowering}{cost}"
    return f"left to the plugin ({form.scope}), or to what `briges build --attention` says{cost}"


def describe_export(spec: ModelSpec) -> Iterator[str]:
    """Lines that say what was exported and how near it is to PyTorch."""
    sizes = ", ".join(graph.size for graph in spec.graphs)
    yield f"{spec.preset}, {sizes}, {spec.precision}, opset {spec.opset}, {spec.weights.licence}"
    if spec.decisions:
        counts = Counter(decision.dtype for decision in spec.decisions)
        ranges = [d.part for d in spec.decisions if d.dtype == "fp32" and d.reason != "rule"]
        islands = f"; by measured range: {', '.join(ranges)}" if ranges else ", all by rule"
        yield f"{counts[spec.precision]} parts in {spec.precision}, {counts['fp32']} islands in fp32{islands}"
    yield f"attention: {_attention(spec.attention)}"
    for graph in spec.graphs:
        if graph.agreement is not None:
            photographs = f"{graph.agreement.photographs} photographs"
            against = f"{graph.size}: fp32 PyTorch against ONNX Runtime on {photographs}"
            yield f"{against}: {headroom(graph.agreement, LIMITS[spec.precision])}"
