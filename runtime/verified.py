"""Reading what is written beside models and engines: strict records, and files that must have their recorded hash."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from briges.runtime.errors import BundleError
from briges.runtime.files import sha256_of
from briges.runtime.records import RecordError, from_object, parse_json

Record = TypeVar("Record")


def require_plain_names(names: Iterable[str]) -> None:
    """Refuse names that are paths. Raises ValueError."""
    # A path here would have files outside the folder read, copied into a bundle, or overwritten.
    for name in names:
        if Path(name).name != name or name in ("", ".", ".."):
            raise ValueError(f"{name!r} is not a plain file name")


def read_record(path: Path, kind: type[Record], schema: int, what: str, remake: str) -> Record:
    """Read one strict, versioned JSON document; ``what`` and ``remake`` go into the errors. Raises BundleError."""
    subject = f"{what} {path.parent}"
    if not os.path.isfile(path):  # unlike Path.is_file, no exception for names the file system cannot have
        found = "is not a folder" if os.path.exists(path.parent) else "does not exist"
        came = f"has no {path.name}" if os.path.isdir(path.parent) else found
        raise BundleError(subject=subject, came=came, expected=f"a folder holding {path.name}", cure=remake)
    raw = None
    try:
        raw = parse_json(path.read_bytes())
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if version != schema:
            raise BundleError(
                subject=subject,
                came=f"{path.name} has schema version {version!r}",
                expected=f"schema version {schema}",
                cure=f"{remake}, or install the briges-trt release that wrote it",
            )
        return from_object(kind, raw)
    except (RecordError, OSError) as error:
        # No command replaces a folder whose document it cannot read: it might be somebody's.
        cure = f"delete {path.parent}, then {remake}" if raw is None else remake
        raise BundleError(
            subject=subject, came=f"{path.name} is damaged: {error}", expected="an untouched file", cure=cure
        ) from error


def check_files(folder: Path, expected: Iterable[tuple[str, str]], what: str, remake: str) -> None:
    """Compare every file of ``folder`` with its recorded sha256. Raises BundleError."""
    for name, sha256 in expected:
        path = folder / name
        try:
            if not os.path.isfile(path):
                came = f"the file {name} is missing"
            elif (found := sha256_of(path)) != sha256:
                came = f"{name} has sha256 {found[:12]}…, recorded was {sha256[:12]}…"
            else:
                continue
        except OSError as error:
            came = f"{name} cannot be read: {error.strerror}"
        raise BundleError(subject=f"{what} {folder}", came=came, expected="every file as it was written", cure=remake)
