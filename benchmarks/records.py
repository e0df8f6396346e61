"""Rows on disk: JSON Lines, one row per line, strictly typed, appended as they are measured."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from briges.benchmarks.accuracy.rows import AccuracyRow
from briges.benchmarks.kernel_rows import KernelRow
from briges.benchmarks.roofline.rows import EstimateRow
from briges.benchmarks.rows import RESULT_SCHEMA, LatencyRow, UnmeasuredRow
from briges.runtime.errors import OutputError, ResultError
from briges.runtime.files import translated
from briges.runtime.records import RecordError, from_object, parse_json

Row = LatencyRow | AccuracyRow | EstimateRow | KernelRow | UnmeasuredRow

logger = logging.getLogger("briges")

_KINDS: dict[str, type[Row]] = {
    "latency": LatencyRow,
    "accuracy": AccuracyRow,
    "estimate": EstimateRow,
    "kernel": KernelRow,
    "unmeasured": UnmeasuredRow,
}


# How every row begins, as it is written: by it a file of ours is known.
_BEGINS = f'{{"schema_version": {RESULT_SCHEMA}, "kind": "'.encode()


def require_results(path: Path) -> None:
    """Refuse, before minutes of measuring, a file that rows cannot be added to, or that holds something else.

    Raises OutputError.
    """
    try:
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            existed = path.exists()
            with path.open("ab"):
                pass
            if not existed:
                path.unlink()
                return
            with path.open("rb") as file:
                begins = file.read(len(_BEGINS))
    except OutputError as error:
        cure = error.cure.replace("--out", "--json")
        raise OutputError(subject=error.subject, came=error.came, expected=error.expected, cure=cure) from error
    if not _BEGINS.startswith(begins):
        raise OutputError(
            subject=f"output {path}",
            came="exists and does not hold results of this schema version",
            expected="a new file, or one that this release of `briges bench` or `briges eval` wrote",
            cure="name another with --json",
        )


def append_row(path: Path, row: Row) -> None:
    """Add one row to the file ``path``, which is made if it is not there. Raises OutputError.

    The row is on the disk when this returns. What a killed run left of a line is cut off first.
    """
    require_results(path)
    line = json.dumps(dataclasses.asdict(row), allow_nan=False).encode() + b"\n"
    with translated(path), path.open("r+b" if path.exists() else "x+b") as file:
        data = file.read()
        whole = _whole_bytes(data)
        file.truncate(whole)
        file.seek(whole)
        file.write(b"\n" * (whole > 0 and data[whole - 1 : whole] != b"\n") + line)
        file.flush()
        os.fsync(file.fileno())


def read_rows(paths: Iterable[Path]) -> list[Row]:
    """Every row of the files, in order. Half a last line, which a kill leaves, is left out with a warning.

    Raises ResultError for a file that cannot be read, holds nothing, or holds rows of another schema version.
    """
    return [row for path in paths for row in _read_file(path)]


def _read_file(path: Path) -> list[Row]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    whole = data[: _whole_bytes(data)]
    if len(whole) < len(data):
        logger.warning("%s: its last line is cut off, as a killed run leaves it; it is left out", path)
    lines = [(number, line) for number, line in enumerate(whole.splitlines(), start=1) if line.strip()]
    if not lines:
        raise _unreadable(path, "it holds no result")
    return [_parse(path, number, line) for number, line in lines]


def _parse(path: Path, number: int, line: bytes) -> Row:
    try:
        raw = parse_json(line)
        kind = _KINDS.get(str(raw.get("kind"))) if isinstance(raw, dict) else None
        if not isinstance(raw, dict) or kind is None:
            raise RecordError(f"no kind of result among {', '.join(_KINDS)}")
        if raw.get("schema_version") != RESULT_SCHEMA:
            raise ResultError(
                subject=f"results {path}, line {number}",
                came=f"schema version {raw.get('schema_version')!r}",
                expected=f"schema version {RESULT_SCHEMA}",
                cure="measure again, or read it with the briges-trt release that wrote it",
            )
        return from_object(kind, raw)
    except RecordError as error:
        raise _unreadable(path, f"line {number}: {error}") from error


def _whole_bytes(data: bytes) -> int:
    """How many bytes hold whole lines; the last may lack its end, as editors leave it."""
    start = data.rfind(b"\n") + 1
    try:
        parse_json(data[start:])
    except RecordError:
        return start
    return len(data)


def _unreadable(path: Path, came: str) -> ResultError:
    return ResultError(
        subject=f"results {path}",
        came=came,
        expected="JSON Lines written by `briges bench` or `briges eval`",
        cure="name such a file, or measure again with --json FILE",
    )


def latency_rows(rows: Sequence[Row]) -> list[LatencyRow]:
    """Those of latency."""
    return [row for row in rows if isinstance(row, LatencyRow)]
