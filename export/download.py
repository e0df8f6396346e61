"""Bring one public weight file into the cache: resumed after a cut, locked against a twin, verified before it counts.

FILE.lock   held (flock) while one process works on the file; stays behind, empty
FILE.part   what came so far; survives Ctrl-C and cut connections, and the next call continues it
FILE        appears by a rename, only after size and SHA-256 were right
"""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from briges.export.public_weights import PublicWeight
from briges.runtime.errors import DownloadError, UsageError
from briges.runtime.files import sha256_of, translated

_CHUNK_BYTES = 1 << 18
_TIMEOUT_S = 30.0  # of silence, not of the whole transfer
# Before the next try, by how many tries in a row brought nothing; as many such tries as there are waits end it.
_WAITS_S = (0.25, 0.5, 1.0, 2.0, 4.0)
_PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)  # worth another try; any other error status is final


class _CutError(Exception):
    """This connection is over before the file was whole; another one may do better."""


def cache_folder() -> Path:
    """Return where fetched weights live: ``briges/weights`` in $XDG_CACHE_HOME, or in ~/.cache."""
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG specification says that a relative path there is invalid and to be ignored.
    return (configured if configured.is_absolute() else Path.home() / ".cache") / "briges" / "weights"


def fetch(
    weight: PublicWeight,
    *,
    base_url: str | None = None,
    folder: Path | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Path:
    """Return the path of the verified file; without any request if it is already there.

    ``base_url`` names a mirror: it replaces everything before the file name. ``folder`` defaults to cache_folder().
    ``on_progress`` is called with the bytes present so far; they start above 0 when a left-over is continued and fall
    back to 0 when a server cannot continue.

    Raises UsageError for an address that is not http(s), DownloadError when the file cannot be had or is not the
    expected one, OutputError when the file system refuses. May wait: for another process fetching the same file.
    """
    url = _address(weight, base_url)
    path = (folder or cache_folder()) / weight.file_name
    part = path.with_name(f"{path.name}.part")
    with translated(path):
        if _is_whole(path, weight):  # before the lock, so that a read-only shared folder can be used
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # released by the close, and by the kernel if this process dies
            if not _is_whole(path, weight):  # a twin may have brought it while this one waited
                _complete(part, weight, url, on_progress or (lambda _: None))
                part.replace(path)
    return path


def _address(weight: PublicWeight, base_url: str | None) -> str:
    url = weight.url if base_url is None else f"{base_url.rstrip('/')}/{weight.file_name}"
    try:
        parts = urllib.parse.urlsplit(url)
        # Asking for the port checks it. urllib would take a user name for a part of the host.
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.username is None
    except ValueError:
        good = False
    if good and url.isascii() and url.isprintable() and " " not in url:
        return url
    raise UsageError(
        subject="download address",
        came=repr(url if base_url is None else base_url),
        expected="an http:// or https:// address in plain ASCII, without a user name",
        cure="give --base-url as in --base-url https://mirror.example/weights",
    )


def _is_whole(path: Path, weight: PublicWeight) -> bool:
    # The size first: it spares the hashing of a file that cannot be the one.
    return path.is_file() and path.stat().st_size == weight.bytes and sha256_of(path) == weight.sha256


def _complete(part: Path, weight: PublicWeight, url: str, report: Callable[[int], None]) -> None:
    """Bring ``part`` to its full length and verify it, over as many connections as make progress."""
    if _size(part) >= weight.bytes and not _is_whole(part, weight):
        part.unlink()  # nothing can be appended to make it right
    longest, failures = _size(part), 0
    while _size(part) < weight.bytes:
        if (cut := _receive_some(part, weight, url, report)) is None:
            continue
        # Progress is a new longest part: a server that starts anew and breaks at the same byte makes none.
        have = _size(part)
        failures = 0 if have > longest else failures + 1
        longest = max(longest, have)
        if failures >= len(_WAITS_S):
            came = f"{cut}; gave up at {have:,} of {weight.bytes:,} bytes after {failures} tries without progress"
            cure = "run the same command again later, it continues there; or name a mirror with --base-url"
            raise _failure(url, came, "a server that sends the whole file", cure) from cut
        time.sleep(_WAITS_S[failures])
    if (got := sha256_of(part)) != weight.sha256:
        part.unlink()
        came = f"{weight.bytes:,} bytes as expected, but sha256 {got}; deleted"
        raise _failure(url, came, f"sha256 {weight.sha256}", "run it again; if it repeats, the server has another file")


def _receive_some(part: Path, weight: PublicWeight, url: str, report: Callable[[int], None]) -> _CutError | None:
    """Ask for what is missing and append what comes, until the server ends it; return how it ended if that was early.

    Raises DownloadError when this server cannot give the expected file.
    """
    have = _size(part)
    try:
        with _opened(part, have, url) as response:
            have = _first_byte(response, part, have, weight, url)
            with part.open("ab" if have else "wb") as out:
                report(have)
                while chunk := _next_chunk(response):
                    have += len(chunk)
                    if have > weight.bytes:  # only an unannounced length gets here; stop before it fills the disk
                        part.unlink()
                        raise _wrong_size(url, f"more than {weight.bytes:,} bytes; deleted", weight)
                    out.write(chunk)
                    report(have)
    except _CutError as cut:
        return cut
    return None if have == weight.bytes else _CutError(f"the connection was cut at byte {have:,}")


def _opened(part: Path, have: int, url: str) -> http.client.HTTPResponse:
    headers = {"User-Agent": "briges-trt"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response: http.client.HTTPResponse = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S
        )
    except urllib.error.HTTPError as error:
        error.close()
        came = f"the server answered {error.code} {error.reason}"
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)  # its file is shorter than ours: begin anew, and see
        elif error.code not in _PASSING_STATUSES:
            cure = "check the address in a browser; --base-url names a mirror"
            raise _failure(url, came, "200 or 206", cure) from error
        raise _CutError(came) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)  # a URLError's own text is its reason in angle brackets
        raise _CutError(f"no answer ({reason or type(error).__name__})") from error
    return response


def _first_byte(response: http.client.HTTPResponse, part: Path, have: int, weight: PublicWeight, url: str) -> int:
    """Return where in the file the body starts: ``have``, or 0 from a server that ignores Range."""
    if response.status == http.HTTPStatus.OK:
        start, total = 0, response.length
    else:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if response.status != http.HTTPStatus.PARTIAL_CONTENT or found is None or int(found[1]) != have:
            part.unlink(missing_ok=True)  # the next try then asks for the whole file, which needs no Range
            raise _CutError(f"the server answered {response.status} without the bytes asked for")
        start, total = have, None if found[2] == "*" else int(found[2])
    # Known before a byte is written, so that a login page does not cost the part that is already here.
    if total is not None and total != weight.bytes:
        raise _wrong_size(url, f"a file of {total:,} bytes", weight)
    return start


def _next_chunk(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK_BYTES)  # not read(): that would lose what came before a break
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"the connection broke ({error or type(error).__name__})") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _wrong_size(url: str, came: str, weight: PublicWeight) -> DownloadError:
    expected = f"{weight.file_name} with {weight.bytes:,} bytes"
    return _failure(url, came, expected, "the server has another file under that name: choose another --base-url")


def _failure(url: str, came: str, expected: str, cure: str) -> DownloadError:
    return DownloadError(subject=f"download {url}", came=came, expected=expected, cure=cure)
