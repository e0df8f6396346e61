"""Options that `briges infer` and `briges stream` share: what is drawn, and how the bundle is run."""

from __future__ import annotations

import click

from briges.runtime.postprocess import COLORMAPS

LOOK_OPTIONS = (
    click.option("--colormap", type=click.Choice(COLORMAPS), default=COLORMAPS[0], show_default=True, help="Colours."),
    click.option("--side-by-side", is_flag=True, help="Put the input on the left of the colours."),
    click.option("--stabilise", is_flag=True, help="Videos: take out what flickers in scale and shift."),
)
RUN_OPTIONS = (
    click.option(
        "--semantic-interval",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        metavar="N",
        help="Semantic features for every N-th frame only; for bundles built with --split.",
    ),
    click.option(
        "--temperature",
        type=click.FloatRange(min=0, min_open=True),
        help="For models exported with `--temperature dynamic`; 1.0 is as trained.",
    ),
    click.option(
        "--device", type=click.IntRange(min=0), default=0, show_default=True, help="Number of the GPU, for TensorRT."
    ),
    click.option(
        "--provider",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where ONNX Runtime runs.",
    ),
    click.option("--threads", type=click.IntRange(min=1), help="Its CPU threads.  [default: one per core]"),
)
