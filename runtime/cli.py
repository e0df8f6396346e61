"""`briges infer`: photographs and videos in, depth out."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from briges.runtime.main import FolderPath, requires, with_options
from briges.runtime.options import LOOK_OPTIONS, RUN_OPTIONS

if TYPE_CHECKING:
    from briges.runtime.backend import Provider
    from briges.runtime.infer import Save
    from briges.runtime.preprocess import Fit

_SAVE = ("png16", "npy", "color")


@requires("cpu", "cv2", "PIL")
@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("paths", nargs=-1)
@click.option("--video", type=click.Path(path_type=Path), help="One video instead of PATHS; Ctrl-C keeps what is done.")
@click.option(
    "--out",
    type=FolderPath(),
    required=True,
    help="Folder for the outputs; made if absent. With --video also a file, named .mp4.",
)
@click.option(
    "--save",
    type=click.Choice(_SAVE),
    multiple=True,
    default=_SAVE,
    show_default="all three",
    help="What to write per image; repeat it for several.",
)
@functools.partial(with_options, options=LOOK_OPTIONS)
@click.option(
    "--fit",
    type=click.Choice(["pad", "stretch"]),
    default="pad",
    show_default=True,
    help="Images of another aspect than the engine's: keep theirs and pad, or stretch them.",
)
@click.option("--pointcloud", type=click.Path(path_type=Path), help="A .ply of the one image; needs --intrinsics.")
@click.option("--intrinsics", metavar="FX,FY,CX,CY", help="The camera of --pointcloud, in pixels of the image.")
@functools.partial(with_options, options=RUN_OPTIONS)
def infer(
    bundle: Path,
    paths: tuple[str, ...],
    video: Path | None,
    out: Path,
    save: tuple[Save, ...],
    colormap: str,
    side_by_side: bool,
    fit: Fit,
    temperature: float | None,
    stabilise: bool,
    semantic_interval: int,
    pointcloud: Path | None,
    intrinsics: str | None,
    device: int,
    provider: Provider,
    threads: int | None,
) -> None:
    """Estimate the depth of PATHS with the engine BUNDLE: files, folders, patterns and videos.

    \b
    One photograph: depth/photo_depth.png (16 bit), .npy and a colour picture:
      briges infer build/engine photo.jpg --out depth/

    \b
    A folder, and everything below another one; colours beside the input only:
      briges infer build/engine holiday/ 'archive/**/*.jpg' --out depth/ \\
          --save color --side-by-side --colormap turbo

    \b
    A video becomes a depth video, whatever --save says:
      briges infer build/engine --video street.mp4 --out depth.mp4 --stabilise

    \b
    A photograph and its coloured point cloud, in no unit:
      briges infer build/engine photo.jpg --out depth/ \\
          --pointcloud photo.ply --intrinsics 3000,3000,2016,1512

    The depth is relative inverse depth: larger is nearer, without a unit. The .npy has it as it is; the PNG spreads it
    over 0..65535 and keeps the range in its text fields briges:low and briges:high. An input that cannot be used is
    reported, the others are done, and the exit code is 1.
    """
    from briges.runtime.estimator import DepthEstimator
    from briges.runtime.infer import InferSpec, infer_all, infer_video
    from briges.runtime.inputs import find_inputs
    from briges.runtime.outputs import prepare_folder
    from briges.runtime.pipelines.depth_video import Look
    from briges.runtime.pipelines.targets import point_cloud_of, video_target
    from briges.runtime.terminal import progress_bar, warn, warnings_shown
    from briges.runtime.video import require_video_file

    if (video is None) == (not paths):
        raise click.UsageError("Give PATHS, or one video with --video.")
    # This and the folder first: a typo must not cost loading a model.
    inputs = [] if video is not None else find_inputs(paths, out)
    point_cloud = point_cloud_of(pointcloud, intrinsics, inputs)
    target = None if video is None else video_target(video, out)
    if video is not None:
        require_video_file(video)
    prepare_folder(out if target is None else target.parent)
    if pointcloud is not None:
        prepare_folder(pointcloud.parent)
    spec = InferSpec(out, save, Look(colormap, side_by_side, stabilise), temperature, point_cloud)
    with (
        warnings_shown(),
        DepthEstimator(
            bundle,
            provider=provider,
            fit=fit,
            threads=threads,
            device=device,
            semantic_interval=semantic_interval,
        ) as estimator,
        progress_bar(len(inputs) or 1) as on_progress,
    ):
        if video is not None and target is not None:
            summary = infer_video(estimator, video, target, spec, on_progress=on_progress)
        else:
            summary = infer_all(
                estimator,
                inputs,
                spec,
                on_progress=on_progress,
                on_error=lambda error: click.echo(f"Error: {error}", err=True),
            )
    warn(estimator.notices)  # logged and shown at the start too, but that may have scrolled away
    if summary.times:
        click.echo(f"{summary} - {estimator.backend_name} - outputs in {target or out}")
    if summary.failed:
        click.echo(f"{summary.failed} of {len(inputs)} inputs failed; what was wrong is said above.", err=True)
        raise click.exceptions.Exit(1)
