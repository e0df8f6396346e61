"""Files that are whole or absent: written beside their place, then renamed into it; and hashed."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from briges.runtime.errors import OutputError
from briges.runtime.records import RecordError, parse_json

_CHUNK_BYTES = 1 << 22
# Of a name that is as long as the file system allows, this much is kept, to leave room for the random part.
_KEPT = 40
_ABANDONED_S = 24 * 3600
_RANDOM = "[0-9a-f]" * 8  # of secrets.token_hex(4), as a pattern


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it there when the block ends well, delete it otherwise.

    A kill at any moment leaves the old file, or none, never half of a new one; the temporary file then stays behind
    and is never swept. Missing parent folders are created.
    Raises OutputError for whatever the file system refuses (no space, no permission, read-only). Errors of the block
    that do not come from writing there pass through unchanged.
    """
    # Named first and created inside the block: mkstemp would leave its file behind if Ctrl-C came just after it.
    temporary = path.with_name(f"{_prefix(path.stem)}{secrets.token_hex(4)}{path.suffix}")
    try:
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
        with _writing(path, temporary):
            yield temporary
        with translated(path):
            temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):  # it may never have been created, nor its folder
            temporary.unlink()


@contextlib.contextmanager
def replacing_folder(path: Path, *, marker: str) -> Iterator[Path]:
    """The same for a folder. An existing folder at ``path`` is replaced only after the block ended well.

    marker: the JSON file of ours that lists the folder's files. An existing folder is replaced if it is empty, or if
    it holds this file and nothing but what this file lists; any other is refused with OutputError, before the block
    and again after it, so that a mistyped --out never costs somebody their files. The old folder is moved aside first,
    so that a reader sees the old or the new one, and comes back if the last rename fails. A link is followed, so that
    it stays a link, and the temporary folder lies on the disk it points to.
    What earlier calls for the same path left there when they were killed is removed once it is a day old.
    """
    _refuse_foreign(path, marker)
    target = Path(os.path.realpath(path))  # "." has no name and no parent to write beside
    temporary = target.with_name(_prefix(target.name) + secrets.token_hex(4))
    try:
        with translated(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target)
            temporary.mkdir()
        with _writing(path, temporary):
            yield temporary
        _refuse_foreign(path, marker)  # the block may have taken minutes
        with translated(path):
            _swap(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _refuse_foreign(path: Path, marker: str) -> None:
    listed = _listed(path / marker)
    with translated(path):
        others = _others(path, listed)
    if not others:
        return
    came, expected = "exists and was not made by this tool", f"a new or empty folder, or one that holds {marker}"
    if listed:
        came = f"exists and holds other files than this tool wrote, such as {others[0]}"
        expected = f"a new or empty folder, or one that holds only {marker} and the files it lists"
    elif os.path.exists(path / marker):
        came = f"exists and its {marker} was not made by this tool, or is damaged"
        expected = f"a new or empty folder, or one that holds a {marker} of this tool"
    raise OutputError(
        subject=f"output {path}",
        came=came,
        expected=expected,
        cure="choose another folder with --out",
    )


def _others(path: Path, listed: set[str]) -> list[str]:
    """What lies in the folder ``path`` beside files of the names ``listed``; ``path`` itself if it is no folder."""
    try:
        mode = path.stat().st_mode  # not is_dir: what cannot be is refused before the block, not minutes later
    except FileNotFoundError:
        return []
    if not stat.S_ISDIR(mode):
        return [path.name]
    with os.scandir(path) as entries:
        # Nothing of ours has subfolders; what lies in one is somebody's own, whatever its name.
        return sorted(item.name for item in entries if item.name not in listed or item.is_dir(follow_symlinks=False))


def _listed(marker: Path) -> set[str]:
    """The names that a folder of ours may hold by its ``marker``, its own among them; none if it is not ours."""
    try:
        raw = parse_json(marker.read_bytes()) if os.path.isfile(marker) else None
    except (OSError, RecordError):
        return set()
    # Manifests of other tools, such as those of web pages, have no schema version.
    files = raw.get("files") if isinstance(raw, dict) and "schema_version" in raw else None
    return {marker.name, *files} if isinstance(files, dict) else set()


def _swap(temporary: Path, path: Path) -> None:
    if not path.exists():
        temporary.rename(path)
        return
    aside = path.with_name(_aside_prefix(path.name) + secrets.token_hex(4))
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


def _aside_prefix(name: str) -> str:
    return f".{name[:_KEPT]}.old-"


def _sweep(path: Path) -> None:
    """Remove the folders that runs killed without warning left beside ``path``: gigabytes that nobody sees.

    These are half-made new folders, and old ones moved aside; the latter only while ``path`` exists, since otherwise
    they are the only copy, and only if ``path``'s name is not one that is cut, since another may be cut to the same.
    Nothing is removed that was touched within a day: a folder in use may belong to another machine on a shared disk.
    """
    for prefix in (_prefix(path.name), _aside_prefix(path.name)):
        for leftover in path.parent.glob(glob.escape(prefix) + _RANDOM):
            # Asked after the leftover was found: between the two renames of another run there is no ``path``.
            needed = prefix == _aside_prefix(path.name) and (len(path.name) > _KEPT or not path.exists())
            with contextlib.suppress(OSError):  # another run may be sweeping too
                if not needed and time.time() - leftover.stat().st_mtime > _ABANDONED_S:
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
    """Turn the file system's refusals into OutputError: every OSError but that of a pipe whose reader has gone.

    For blocks that do nothing but write.
    """
    try:
        yield
    except BrokenPipeError:  # a file cannot raise it: it is of our terminal
        raise
    except OSError as error:
        raise _refused(path, error) from error


@contextlib.contextmanager
def _writing(path: Path, temporary: Path) -> Iterator[None]:
    """The same for a caller's block, which may do other things too: only what comes from writing to ``temporary``."""
    try:
        yield
    except OSError as error:
        if _is_of_writing(error, temporary):
            raise _refused(path, error) from error
        raise


def _is_of_writing(error: OSError, temporary: Path) -> bool:
    # Only ``filename``: shutil.copyfile also names its target where its source cannot be read.
    name = error.filename
    # The name is random, so that it tells however the rest of the path is spelt.
    inside = isinstance(name, str | bytes | os.PathLike) and temporary.name in Path(os.fsdecode(name)).parts
    return inside or error.errno in _WRITE_ONLY or _SHORT_WRITE.search(str(error)) is not None


def _refused(path: Path, error: OSError) -> OutputError:
    return OutputError(
        subject=f"output {path}",
        came=f"cannot be written: {error.strerror or error}",
        expected="a writable place with enough free space",
        cure=_CURES.get(error.errno or 0, "choose another place with --out"),
    )


# Reading never ends in these. EIO is not among them: a bare one may come from a source.
_WRITE_ONLY = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")  # NumPy's ndarray.tofile, which gives no errno
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
