"""The options of `briges eval`."""

from __future__ import annotations

from pathlib import Path

import click

from briges.runtime.options import RUN_OPTIONS

DATASETS = ("nyu", "kitti", "eth3d", "diode", "scannet", "folder", "da2k")
DEPTH_UNITS = ("mm", "m", "disparity")


def _parse_numbers(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        numbers = tuple(dict.fromkeys(float(part) for part in value.split(",")))
    except ValueError:
        numbers = (0.0,)
    if not all(0 < number < float("inf") for number in numbers):
        raise click.BadParameter(f"{value!r} is no list of numbers above 0: write 1,1.5,2")
    return numbers


EVAL_OPTIONS = (
    click.option("--dataset", type=click.Choice(DATASETS), required=True, help="Which set; `folder` is your own."),
    click.option("--root", type=click.Path(path_type=Path), required=True, help="The folder of the set."),
    click.option(
        "--list", "file_list", type=click.Path(path_type=Path), help="File list: photograph and ground truth per line."
    ),
    click.option(
        "--depth-unit",
        type=click.Choice(DEPTH_UNITS),
        help="Of `folder`.  [default: mm in files of integers, m in those of floats]",
    ),
    click.option("--flip", is_flag=True, help="Mean of an image and its mirror image, as published figures have it."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The first N images."),
    click.option(
        "--json", type=click.Path(path_type=Path, dir_okay=False), help="Append the row to this file (JSON Lines)."
    ),
    click.option(
        "--pictures",
        type=click.IntRange(min=0),
        default=6,
        show_default=True,
        metavar="N",
        help="How many, from worst to best, for the report; with --json.",
    ),
    click.option("--reference", type=click.Path(path_type=Path), help="Another bundle, to compare depth with."),
    click.option(
        "--temperature",
        "temperatures",
        callback=_parse_numbers,
        metavar="LIST",
        help="1,1.5,2: a row for each; for models exported with `--temperature dynamic`.",
    ),
    # But for the second, a single temperature.
    RUN_OPTIONS[0],
    *RUN_OPTIONS[2:],
)
