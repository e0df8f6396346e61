"""The folder that `briges bundle-offline` writes: its record, and its replacement as a whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from briges.runtime.errors import OutputError
from briges.runtime.files import translated
from briges.runtime.records import RecordError, from_object, parse_json

OFFLINE_SCHEMA = 1
RECORD_FILE = "offline.json"
SUMS_FILE = "SHA256SUMS"
# Of a name that is as long as the file system allows, this much is kept, to leave room for the random part.
_KEPT = 40


@dataclass(frozen=True)
class OfflineBundle:
    """What was packed. ``plugin``: whether kernels came along. ``included``: the folders the user named, as they are
    called in it. ``files``: path below the folder -> sha256, but for this record and SHA256SUMS.
    """

    schema_version: int
    target: str
    tool_version: str
    python: str
    machine: str
    cuda_major: int
    plugin: bool
    included: tuple[str, ...]
    files: dict[str, str]


@contextlib.contextmanager
def replacing_tree(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside ``path``; rename it there when the block ends well, delete it otherwise.

    For a block that does nothing but write there: what the file system refuses is an OutputError. An existing
    folder is replaced only if it is empty, or one of ours that holds nothing but what its record lists; any other is
    refused with OutputError, before the block and after it.
    """
    _refuse_foreign(path)
    target = Path(os.path.realpath(path))  # a link stays a link
    temporary = target.with_name(f".{target.name[:_KEPT]}.briges-{secrets.token_hex(4)}")
    aside = temporary.with_name(f"{temporary.name}.old")
    try:
        with translated(path):
            temporary.mkdir(parents=True)
            yield temporary
            _refuse_foreign(path)
            if target.exists():
                target.rename(aside)
            temporary.rename(target)
    finally:
        if aside.exists() and not target.exists():  # Ctrl-C between the two
            aside.rename(target)
        for leftover in (temporary, aside):
            shutil.rmtree(leftover, ignore_errors=True)


def files_below(folder: Path) -> list[str]:
    """The paths of all files below ``folder``, with slashes, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def _refuse_foreign(path: Path) -> None:
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise _foreign(path, "exists and is no folder")
    with translated(path):
        found = files_below(path)
        if not found and not any(path.iterdir()):
            return
    try:
        record = from_object(OfflineBundle, parse_json((path / RECORD_FILE).read_bytes()))
    except (OSError, RecordError):
        raise _foreign(path, "exists and was not made by this tool") from None
    others = sorted(set(found) - {RECORD_FILE, SUMS_FILE, *record.files})
    if others:
        raise _foreign(path, f"exists and holds other files than this tool wrote, such as {others[0]}")


def _foreign(path: Path, came: str) -> OutputError:
    return OutputError(
        subject=f"output {path}",
        came=came,
        expected=f"a new or empty folder, or one that holds {RECORD_FILE} and the files it lists",
        cure="choose another folder with --out",
    )
