"""Which files of a public set belong together: photograph, ground truth, and the mask some have."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from briges.benchmarks.accuracy.sets import SetName
from briges.runtime.errors import DatasetError
from briges.runtime.images import IMAGE_SUFFIXES

_IMAGE = "|".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
_DEPTH = "npy|pfm|pgm|png|tif|tiff"

# Photograph and ground truth below the root: they are a pair where their groups are the same. Which is which is told by
# the first pattern that fits. Sources:
# nyu: the lists in data_split/ of prs-eth/Marigold; the labelled part exported to rgb/ and depth/, PNG in millimetres.
# kitti: KITTI raw data, and data_depth_annotated.zip with train/ and val/, of cvlibs.net/datasets/kitti.
# eth3d: the high-resolution training archives of eth3d.net, and the lists of Marigold, which have rgb/ and depth/.
# diode: README.md of diode-dataset/diode-devkit. scannet: SensReader of ScanNet/ScanNet: color/ and depth/.
_FOLDERS = (
    rf"((?:.*/)?)(?:color|rgb|images?)/([^/]+)\.(?:{_IMAGE})",
    rf"((?:.*/)?)(?:depths?)/([^/]+)\.(?:{_DEPTH})",
)
_LAYOUTS: dict[str, tuple[tuple[str, str], ...]] = {
    "nyu": ((r"((?:.*/)?)rgb_([^/]+)\.(?:png|jpg)", r"((?:.*/)?)depth_([^/]+)\.png"), _FOLDERS),
    "kitti": (
        (
            r"(?:.*/)?([^/]+_sync)/(image_0[23])/data/([^/]+)\.(?:png|jpg)",
            r"(?:.*/)?([^/]+_sync)/proj_depth/groundtruth/(image_0[23])/([^/]+)\.png",
        ),
    ),
    "eth3d": (
        (
            r"(?:.*/)?([^/]+)/images/dslr_images/([^/]+)\.(?:jpg|png)",
            r"(?:.*/)?([^/]+)/ground_truth_depth/dslr_images/([^/]+)\.(?:jpg|png)",
        ),
    ),
    "diode": ((r"(.+)\.png", r"(.+)_depth\.npy"),),
    "scannet": (_FOLDERS,),
    "folder": (_FOLDERS, (rf"(.+?)\.(?:{_IMAGE})", rf"(.+)_depth\.(?:{_DEPTH})")),
}


@dataclass(frozen=True)
class FileSet:
    """One image: ``name`` is its path below the root. ``depth`` and ``mask`` are None where there are none."""

    name: str
    image: Path
    depth: Path | None
    mask: Path | None


def find_files(name: SetName, root: Path) -> list[FileSet]:
    """Every photograph of the set below ``root``, in the order of its name, with its ground truth where there is one.

    Ground truth without a photograph is left alone: KITTI's is kept apart from the raw data. Of KITTI, photographs
    without ground truth are left alone too: most of the raw data has none. Raises DatasetError if nothing is found.
    """
    paths = list(_walk(root))
    depths: dict[tuple[int, tuple[str, ...]], str] = {}
    images: list[tuple[str, tuple[int, tuple[str, ...]]]] = []
    for path in paths:
        kind, key = _kind(name, path)
        if kind == "depth":
            depths.setdefault(key, path)
        elif kind == "image":
            images.append((path, key))
    found = []
    for path, key in images:
        depth = depths.get(key)
        if depth is None and name == "kitti":
            continue
        mask = Path(root, depth.removesuffix(".npy") + "_mask.npy") if depth and name == "diode" else None
        found.append(FileSet(path, root / path, root / depth if depth else None, mask))
    if not found:
        raise DatasetError(
            subject=f"dataset {root}",
            came=f"no photograph{' with ground truth' if name == 'kitti' else ''} among its {len(paths)} files",
            expected=f"the layout of {name}: `briges eval --help` shows it",
            cure="name the folder that holds the set with --root, or its file list with --list",
        )
    return found


def _kind(name: SetName, path: str) -> tuple[str, tuple[int, tuple[str, ...]]]:
    for index, (image, depth) in enumerate(_LAYOUTS[name]):
        # Ground truth first: the pattern of a photograph fits many names.
        for kind, pattern in (("depth", depth), ("image", image)):
            if match := re.fullmatch(pattern, path, re.IGNORECASE):
                return kind, (index, match.groups())
    return "", (0, ())


def read_list(root: Path, file: Path) -> list[FileSet]:
    """The images that a file list names: a line has the paths of photograph, ground truth, and for DIODE its mask.

    As the lists of Marigold and of the Eigen split have them: relative to ``root``, apart by spaces, "None" for no
    ground truth, which leaves the line out; a number, KITTI's focal length, is passed over. Raises DatasetError.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _bad_list(file, f"cannot be read: {error}") from error
    found = []
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) < 2:
            raise _bad_list(file, f"line {number} has one path, {line!r}")
        if fields[1] != "None":
            mask = root / fields[2] if len(fields) > 2 and fields[2].endswith(".npy") else None
            found.append(FileSet(fields[0], root / fields[0], root / fields[1], mask))
    if not found:
        raise _bad_list(file, "names no image with ground truth")
    return found


def _bad_list(file: Path, came: str) -> DatasetError:
    return DatasetError(
        subject=f"file list {file}",
        came=came,
        expected="lines with the paths of a photograph and its ground truth, relative to --root",
        cure="take a list of Marigold's data_split/ or of the Eigen split, or leave --list out",
    )


def _walk(root: Path) -> Iterator[str]:
    """Paths of files below ``root``, relative, with slashes, as people count: 2 before 10."""
    if not os.path.isdir(root):
        raise DatasetError(
            subject=f"dataset {root}",
            came="is not a folder" if os.path.exists(root) else "does not exist",
            expected="the folder of the set",
            cure="unpack the set and name its folder with --root",
        )
    every = []
    for folder, _, names in os.walk(root, followlinks=True):
        below = os.path.relpath(folder, root)
        every += [name if below == "." else f"{below}/{name}" for name in names if not name.startswith(".")]
    yield from sorted((path.replace(os.sep, "/") for path in every), key=_natural)


def _natural(path: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", path.casefold())
    return [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)], path
