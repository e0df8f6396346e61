"""`briges bench model`: parses, estimates, prints it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click

from briges.benchmarks.roofline.devices import DEVICES, DeviceLimits, find_device
from briges.export.options import SizeParam, choose_sizes
from briges.export.presets import find_preset
from briges.runtime.agreement import Precision
from briges.runtime.errors import UsageError

_ALL = "all"


@click.command()
@click.argument("preset")
@click.option(
    "--device", "names", multiple=True, default=("orin-agx-64",), show_default=True, help="Repeat it, or `all`."
)
@click.option("--height", type=int, help="Input height in pixels, a multiple of 14.  [default: 518]")
@click.option("--width", type=int, help="Input width in pixels, a multiple of 14.  [default: 518]")
@click.option("--size", "sizes", type=SizeParam(), help="Both as HEIGHTxWIDTH.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Images per inference.")
@click.option("--precision", type=click.Choice(get_args(Precision)), default="fp16", show_default=True)
@click.option(
    "--semantic-interval",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Semantics for every N-th frame; times are then means.",
)
@click.option(
    "--fps",
    type=click.FloatRange(min=0, min_open=True, max=100_000),
    default=30.0,
    show_default=True,
    help="Images per second that count as real-time.",
)
@click.option("--json", "out", type=Path, help="Append the estimates to this file of results.")
def model(
    preset: str,
    names: tuple[str, ...],
    height: int | None,
    width: int | None,
    sizes: tuple[int, int] | None,
    batch: int,
    precision: Precision,
    semantic_interval: int,
    fps: float,
    out: Path | None,
) -> None:
    """Estimate what PRESET can reach on devices that are not here. Nothing runs; no GPU is needed.

    Work is counted from the preset and divided by what the device can do at most. The floor is what no implementation
    can beat; the range is what published times of such networks suggest.

    \b
    briges bench model briges-v2-b                                     on AGX Orin
    briges bench model briges-v2-b --device all
    briges bench model briges-v2-b --device orin-nano --fps 15         which option would do?
    briges bench model briges-v2-l --device thor --size 518x924 --semantic-interval 4
    briges bench model depth-anything-v2-s --device t4 --json build/estimates.jsonl
    """
    from briges.benchmarks.records import append_row, require_results
    from briges.benchmarks.roofline.describe import notes, one_device, several_devices
    from briges.benchmarks.roofline.estimate import Case
    from briges.benchmarks.roofline.estimate_row import estimate_row
    from briges.runtime.tables import print_sections

    if not math.isfinite(fps):
        raise UsageError(subject="--fps", came=str(fps), expected="frames per second", cure="give a number, such as 30")
    if out is not None:
        require_results(out)
    own = find_preset(preset)
    chosen = choose_sizes(preset, height, width, () if sizes is None else (sizes,))
    height_px, width_px = chosen[0] if chosen else (own.height_px, own.width_px)
    case = Case(own, height_px, width_px, precision, batch, semantic_interval)
    devices = _devices(names, precision)
    rows = [estimate_row(case, device, fps) for device in devices]
    print_sections(one_device(case, devices[0]) if len(devices) == 1 else several_devices(case, devices))
    for line in notes(rows):
        click.echo(line)
    if out is not None:
        for row in rows:
            append_row(out, row)
        click.echo(f"appended {len(rows)} to {out}")


def _devices(names: Sequence[str], precision: Precision) -> list[DeviceLimits]:
    if _ALL not in names:
        return [find_device(name) for name in dict.fromkeys(names)]
    if len(names) > 1:
        raise UsageError(
            subject="--device", came=f"{_ALL} beside others", expected="one or the other", cure=f"use --device {_ALL}"
        )
    return [device for device in DEVICES.values() if precision != "bf16" or device.bf16_tflops is not None]
