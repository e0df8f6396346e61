"""Files that are whole or absent: written beside their place, then renamed into it; and hashed."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from briges.runtime.errors import OutputError

_CHUNK_BYTES = 1 << 22
# Of a name that is as long as the file system allows, this much is kept, to leave room for the random part.
_KEPT = 40
_ABANDONED_S = 24 * 3600


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it there when the block ends well, delete it otherwise.

    A kill at any moment leaves the old file, or none, never half of a new one. Missing parent folders are created.
    Raises OutputError for whatever the file system refuses (no space, no permission, read-only).
    """
    # Named first and created inside the block: mkstemp would leave its file behind if Ctrl-C came just after it.
    temporary = path.with_name(f"{_prefix(path.stem)}{secrets.token_hex(4)}{path.suffix}")
    try:
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
            yield temporary
            temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):  # it may never have been created, nor its folder
            temporary.unlink()


@contextlib.contextmanager
def replacing_folder(path: Path, *, marker: str) -> Iterator[Path]:
    """The same for a folder. An existing folder at ``path`` is replaced only after the block ended well.

    marker: a file name that proves an existing folder to be one of ours. Any other folder that is not empty is refused
    with OutputError, so that a mistyped --out never costs somebody their files. The old folder is moved aside first,
    so that a reader sees the old or the new one, and comes back if the last rename fails. A link is followed, so that
    it stays a link, and the temporary folder lies on the disk it points to.
    """
    with translated(path):
        foreign = path.is_dir() and any(path.iterdir()) and not (path / marker).is_file()
    if foreign or (path.exists() and not path.is_dir()):
        raise OutputError(
            subject=f"output {path}",
            came="exists and was not made by this tool",
            expected=f"a new or empty folder, or one that holds {marker}",
            cure="choose another folder with --out",
        )
    target = Path(os.path.realpath(path))  # "." has no name and no parent to write beside
    temporary = target.with_name(_prefix(target.name) + secrets.token_hex(4))
    try:
        with translated(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target)
            temporary.mkdir()
            yield temporary
            _swap(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(temporary: Path, path: Path) -> None:
    if not path.exists():
        temporary.rename(path)
        return
    aside = path.with_name(f".{path.name[:_KEPT]}.old-{secrets.token_hex(4)}")
    try:
        path.rename(aside)
        temporary.rename(path)
    except BaseException:  # Ctrl-C too. If even the way back fails, the old folder stays in ``aside``
        if aside.exists() and not path.exists():
            aside.rename(path)
        raise
    finally:
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)


def _prefix(name: str) -> str:
    return f".{name[:_KEPT]}.briges-"


def _sweep(path: Path) -> None:
    """Remove what runs killed without warning left beside ``path``: gigabytes that nobody sees.

    Only what has not been touched for a day, since a folder in use may belong to another machine on a shared disk.
    """
    for leftover in path.parent.glob(glob.escape(_prefix(path.name)) + "*"):
        if time.time() - leftover.stat().st_mtime > _ABANDONED_S:
            shutil.rmtree(leftover, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the file system's refusals into OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            subject=f"output {path}",
            came=f"cannot be written: {error.strerror or error}",
            expected="a writable place with enough free space",
            cure=_CURES.get(error.errno or 0, "choose another place with --out"),
        ) from error


_CURES = {
    errno.ENOSPC: "free some space or choose another disk with --out",
    errno.EDQUOT: "the disk quota is used up: free some space or choose another disk with --out",
    errno.EFBIG: "the file is larger than that disk or this user may hold: choose another disk with --out",
    errno.EACCES: "choose a folder you may write to with --out, or change its permissions",
    errno.EPERM: "choose a folder you may write to with --out, or change its permissions",
    errno.EROFS: "the file system is read-only: choose another place with --out",
    errno.ENOTDIR: "part of that path is a file: choose another folder with --out",
    errno.EEXIST: "part of that path is a file: choose another folder with --out",
}
