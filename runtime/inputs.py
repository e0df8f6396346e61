"""What the user names, to a list of files: folders, glob patterns, images and videos; and a name for each output."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from briges.runtime.errors import ImageError
from briges.runtime.images import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})

# What is written per input, after its stem. Files named so are skipped in folders and patterns, so that a second run
# with its outputs beside its inputs does not take the depth for photographs.
OUTPUT_SUFFIXES = ("_depth.png", "_depth.npy", "_depth_color.png", "_depth.mp4")
_OWN_OUTPUT = re.compile(r"_depth\.(png|mp4)$|_depth_color\.[^.]+$", re.IGNORECASE)
_GLOB_CHARACTERS = re.compile(r"[*?[]")


@dataclass(frozen=True)
class InputFile:
    """One image or video, and the stem of the names of its outputs, unique within the run."""

    path: Path
    stem: str

    @property
    def is_video(self) -> bool:
        """Judged by the suffix alone."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES


def find_inputs(paths: Sequence[str], out: Path) -> list[InputFile]:
    """Expand files, folders (not their subfolders) and glob patterns, ``**`` included, and choose the output stems.

    A file named directly is taken whatever its suffix. A path that exists is never read as a pattern. A file that comes
    twice counts once. Raises ImageError for a path that does not exist and for a folder or pattern without an image.
    """
    unique: dict[str, Path] = {}
    for path in paths:
        for file in _expand(path):
            unique.setdefault(os.path.abspath(file), file)
    return assign_stems(list(unique.values()), out)


def _expand(path: str) -> list[Path]:
    if os.path.isdir(path):
        return _in_folder(path)
    if os.path.exists(path):  # unlike Path.exists, no exception for names the file system cannot have
        return [Path(path)]
    if _GLOB_CHARACTERS.search(path):
        return _media(glob.glob(path, recursive=True)) or _refuse(
            f"pattern {path}", "matches no image or video", "quote it so that the shell leaves it alone, and check it"
        )
    return _refuse(f"input {path}", "does not exist", "check the path; relative ones start at the current folder")


def _in_folder(folder: str) -> list[Path]:
    try:
        names = os.listdir(folder)
    except OSError as error:
        return _refuse(f"folder {folder}", f"cannot be read: {error.strerror}", "check its permissions")
    return _media(os.path.join(folder, name) for name in names if not name.startswith(".")) or _refuse(
        f"folder {folder}",
        "holds no image or video",
        "subfolders are not searched: name them, or use a pattern such as 'FOLDER/**/*.jpg'",
    )


def _media(names: Iterable[str]) -> list[Path]:
    """The images and videos among ``names``, ordered as people count: 2 before 10."""
    files = [Path(name) for name in names if os.path.isfile(name) and not _OWN_OUTPUT.search(name)]
    return sorted((file for file in files if file.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES), key=_natural)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    # Digits and text alternate in what split returns, so that a number is never compared with text.
    parts = re.split(r"([0-9]+)", str(path.with_suffix("")).casefold())
    return [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)], str(path)


def _refuse(subject: str, came: str, cure: str) -> list[Path]:
    suffixes = " ".join(sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES))
    raise ImageError(subject=subject, came=came, expected=f"files named {suffixes}", cure=cure)


def assign_stems(paths: Sequence[Path], out: Path) -> list[InputFile]:
    """Give each path its own stem, or that with "-2", "-3", ... where an earlier path has it already.

    Compared without regard to case, because some file systems do. A stem is also refused if one of its outputs in the
    folder ``out`` would replace one of the inputs.
    """
    taken: set[str] = set()
    inputs = {_key(path) for path in paths}
    chosen = []
    for path in paths:
        number, stem = 1, path.stem
        while stem.casefold() in taken or any(_key(out / f"{stem}{suffix}") in inputs for suffix in OUTPUT_SUFFIXES):
            number += 1
            stem = f"{path.stem}-{number}"
        taken.add(stem.casefold())
        chosen.append(InputFile(path, stem))
    return chosen


def _key(path: Path) -> str:
    return os.path.realpath(path).casefold()
