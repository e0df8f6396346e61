"""The parts of a Markdown file that are generated: lines between a marker with a name and one that ends it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from briges.runtime.errors import UsageError

BEGIN = "<!-- briges:results NAME -->"
END = "<!-- /briges:results -->"
_BEGIN = re.compile(r"<!-- briges:results (\S+) -->")


def read_document(path: Path) -> str:
    """The text of an existing file, its line ends as they are. Raises UsageError."""
    try:
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        came = error.strerror or str(error) if isinstance(error, OSError) else "not UTF-8"
        raise _refused(path, came) from error


def replace_blocks(text: str, blocks: Mapping[str, str], path: Path) -> tuple[str, list[str]]:
    """Put each of ``blocks`` between the markers of its name, and list the names found.

    Markers of other names keep what is between them. Raises UsageError if there is none of these names, or if markers
    do not pair; ``path`` is for its message.
    """
    lines = text.splitlines(keepends=True)
    newline = "\r\n" if "\r\n" in text else "\n"
    kept: list[str] = []
    named: list[str] = []
    others: list[str] = []
    opened: tuple[str, int] | None = None
    for number, line in enumerate(lines, start=1):
        begin = _BEGIN.fullmatch(line.strip())
        if begin is not None and opened is not None:
            raise _refused(path, f"the marker of line {opened[1]} has no end before line {number}")
        if line.strip() == END:
            if opened is None:
                raise _refused(path, f"line {number} ends what no marker began")
            opened = None
        if opened is None or opened[0] not in blocks:
            kept.append(line)
        if begin is not None:
            opened = begin[1], number
            (named if begin[1] in blocks else others).append(begin[1])
            if begin[1] in blocks:
                kept.append(blocks[begin[1]].replace("\n", newline))
    if opened is not None:
        raise _refused(path, f"the marker of line {opened[1]} has no end")
    if not named:
        has = f"only markers named {', '.join(others)}" if others else "no marker"
        raise _refused(path, f"{has}, none named {' or '.join(blocks)}")
    return "".join(kept), named


def _refused(path: Path, came: str) -> UsageError:
    return UsageError(
        subject=f"Markdown file {path}",
        came=came,
        expected=f"a UTF-8 file with the lines {BEGIN} and {END}, NAME being that of a file of results",
        cure="add both lines where the tables shall stand, NAME as the results are named without .jsonl",
    )
