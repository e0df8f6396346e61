"""`briges eval`: accuracy of a bundle."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import click

from briges.benchmarks.accuracy.options import EVAL_OPTIONS
from briges.runtime.main import command_line, requires, with_options


@requires("bench", "cv2", "PIL")
@click.command("eval")
@click.argument("bundle", type=click.Path(path_type=Path))
@functools.partial(with_options, options=EVAL_OPTIONS)
def evaluate(**options: Any) -> None:
    """Measure the accuracy of the engine BUNDLE on a dataset with ground truth.

    \b
    Your own: color/1.png with depth/1.png, or photo.jpg with photo_depth.npy:
      briges eval build/engine --dataset folder --root rooms --depth-unit mm

    \b
    The protocol of published figures, with a row and pictures for the report:
      briges eval build/engine --dataset nyu --root NYUv2 --flip --json nyu.jsonl

    \b
    The Eigen test split of KITTI, by its list of files:
      briges eval build/engine --dataset kitti --root KITTI --list eigen_test.txt

    \b
    Which point is nearer: DA-2K, every pair of every image:
      briges eval build/engine --dataset da2k --root DA-2K

    \b
    What half precision changes, on photographs without ground truth:
      briges eval build/fp16 --dataset folder --root photos --reference build/fp32

    \b
    Temperatures of the gates' attention, a row for each:
      briges eval build/engine --dataset nyu --root NYUv2 --temperature 1,1.5,2

    \b
    Below --root, all the same in subfolders:
      nyu      SCENE/rgb_N.png, SCENE/depth_N.png; or rgb/N.png, depth/N.png
      kitti    DATE/DRIVE_sync/image_02/data/N.png,
               DRIVE_sync/proj_depth/groundtruth/image_02/N.png
      eth3d    SCENE/images/dslr_images/N.JPG,
               SCENE/ground_truth_depth/dslr_images/N.JPG
      diode    NAME.png, NAME_depth.npy, NAME_depth_mask.npy
      scannet  SCENE/color/N.jpg, SCENE/depth/N.png
      da2k     annotations.json and the images it names

    Depth is aligned with 1/depth of ground truth by scale and shift, least squares, so nothing is said of metres.
    Means are over images, each with the 95 % interval of 1000 bootstrap draws. An image that cannot be scored is
    named, left out, and makes the exit code 1. Ctrl-C keeps what was scored in FILE.partial beside --json; the
    same command goes on from there.
    """
    from briges.benchmarks.accuracy.session import EvalRequest, evaluate_all
    from briges.benchmarks.accuracy.summary import print_row, skipped_text
    from briges.runtime.terminal import warn, warnings_shown

    complete = True
    with warnings_shown():
        for row in evaluate_all(EvalRequest(command=command_line(), **options)):
            print_row(row)
            warn([*row.subject.notices, *skipped_text(row)])
            if options["json"] and (not row.interrupted or row.subject.semantic_interval > 1):
                click.echo(f"appended to {options['json']}", err=True)
            complete = complete and not row.interrupted and not any(image.skipped for image in row.images)
    if not complete:
        raise click.exceptions.Exit(1)
