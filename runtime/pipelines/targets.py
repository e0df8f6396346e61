"""What is asked for, before a model is loaded: where a depth video goes, and what a point cloud is of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from briges.runtime.errors import UsageError
from briges.runtime.inputs import VIDEO_SUFFIXES, InputFile, assign_stems
from briges.runtime.pipelines.pointcloud import Intrinsics, parse_intrinsics


def video_target(video: Path, out: Path) -> Path:
    """The file for the depth of ``video``: ``out`` if it is named .mp4, else one in the folder ``out``.

    Raises UsageError for a name of another video format, and for ``video`` itself.
    """
    if out.suffix.lower() not in VIDEO_SUFFIXES or out.is_dir():
        return out / f"{assign_stems([video], out)[0].stem}_depth.mp4"
    return video_file(str(video), out)


def video_file(source: str, out: Path) -> Path:
    """``out``, if a depth video of ``source`` can have that name. Raises UsageError as ``video_target`` does."""
    if out.suffix.lower() != ".mp4":
        raise UsageError(
            subject="--out",
            came=str(out),
            expected="a file named .mp4, the format that is written",
            cure=f"--out {out.with_suffix('.mp4')}",
        )
    if os.path.realpath(out) == os.path.realpath(source):
        raise UsageError(
            subject="--out",
            came=f"{out}, which is the video that is read",
            expected="another file",
            cure=f"--out {out.with_name(f'{out.stem}_depth.mp4')}",
        )
    return out


def point_cloud_of(
    path: Path | None, intrinsics: str | None, inputs: Sequence[InputFile]
) -> tuple[Path, Intrinsics] | None:
    """The point cloud's file and camera; None if neither is given.

    Raises UsageError if one is missing, the camera cannot be, or ``inputs`` are not one image.
    """
    if path is None and intrinsics is None:
        return None
    if path is None or intrinsics is None:
        raise UsageError(
            subject="point cloud",
            came="--intrinsics alone" if path is None else "--pointcloud alone",
            expected="both: --pointcloud FILE.ply --intrinsics fx,fy,cx,cy",
            cure="add the other one",
        )
    if path.suffix.lower() != ".ply":
        raise UsageError(
            subject="--pointcloud", came=str(path), expected="a file named .ply", cure=f"--pointcloud {path}.ply"
        )
    if len(inputs) != 1 or inputs[0].is_video:
        raise UsageError(
            subject="point cloud",
            came="a video" if len(inputs) < 2 else f"{len(inputs)} inputs",
            expected="exactly one image",
            cure="name one image; save a video's frame as a picture first",
        )
    return path, parse_intrinsics(intrinsics)
