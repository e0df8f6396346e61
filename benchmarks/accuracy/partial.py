"""Scores of a run that was cut off, kept beside its results, so that the next one goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from briges.benchmarks.accuracy.rows import ImageScore, Protocol
from briges.benchmarks.rows import RESULT_SCHEMA, Subject
from briges.runtime.files import translated, write_text
from briges.runtime.records import RecordError, from_object, parse_json


@dataclass(frozen=True)
class _Line:
    """``key``: of the run the score belongs to."""

    key: str
    score: ImageScore


def run_key(subject: Subject, protocol: Protocol, root: Path) -> str:
    """What a score is good for: this bundle, this protocol and this folder, and nothing else."""
    # The command is how it was asked for: --limit or --json change no score.
    fields = [RESULT_SCHEMA, dataclasses.asdict(subject), {**dataclasses.asdict(protocol), "command": ""}]
    return hashlib.sha256(json.dumps([*fields, str(root.resolve())]).encode()).hexdigest()


class PartialScores:
    """The file of such scores. Lines of other runs in it are left alone.

    ``path`` None: nothing is kept. A score is on the disk when ``add`` returns. What was skipped is not kept: the next
    run tries again.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        """Read what an earlier run of the same ``key`` left. Half a line, which a kill leaves, is passed over.

        Raises OutputError if the file cannot be read.
        """
        self._path, self._key = path, key
        self.found: dict[str, ImageScore] = {}
        for line in _read(path):
            if line.key == key:
                self.found[line.score.name] = line.score

    def add(self, score: ImageScore) -> None:
        """Keep a score. Raises OutputError."""
        if self._path is None or score.skipped is not None:
            return
        line = json.dumps(dataclasses.asdict(_Line(self._key, score)), allow_nan=False)
        with translated(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as file:
                # A line of its own, after the half line that a kill may have left.
                file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
                file.write(b"\n" * (file.read(1) not in (b"", b"\n")) + line.encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())

    def forget(self, names: Collection[str]) -> None:
        """The row of the images ``names`` is written: remove their scores, and the file if no others are in it.

        Those of other runs stay, and those of more images that this one was limited not to score.
        """
        if self._path is None or not self._path.exists():
            return
        others = [line for line in _read(self._path) if line.key != self._key or line.score.name not in names]
        with translated(self._path):
            if others:
                text = "".join(json.dumps(dataclasses.asdict(line)) + "\n" for line in others)
                write_text(self._path, text)
            else:
                self._path.unlink()


def _read(path: Path | None) -> list[_Line]:
    if path is None or not path.exists():
        return []
    with translated(path):  # it is to be written next, so that it is an output
        data = path.read_bytes()
    return [line for text in data.splitlines() if (line := _parse(text)) is not None]


def _parse(text: bytes) -> _Line | None:
    try:
        return from_object(_Line, parse_json(text))
    except RecordError:  # half a line, or one of another release: its image is scored again
        return None
