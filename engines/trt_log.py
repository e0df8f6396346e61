"""TensorRT's log: written line by line, searched for the figures only it has, and read again when a build failed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

# The only place that knows what the builder says; TensorRT 10 and 11 and TensorRT-RTX word these alike.
_ACTIVATION = re.compile(r"Total Activation Memory: (\d+) bytes")
_WEIGHTS = re.compile(r"Total Weights Memory: (\d+) bytes")
_CACHE_REFUSED = re.compile(r"timing cache will not be used|Failed to deserialize timing cache|timing cache.*mismatch")

# Said on every machine without a GPU, where TensorRT-RTX builds nevertheless, and no reason for any failure.
NOISE = re.compile(r"(catchCudaError|ScopedCudaStream).*cudaError (35|100)\b|Thread context has not been set")

_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ([A-Z_]+) ")
_COMPLAINTS = ("INTERNAL_ERROR", "ERROR", "WARNING")
_TAIL_BYTES = 1 << 18
_TAIL_ENTRIES = 10
_ENTRY_CHARACTERS = 400


class BuilderLog:
    """Passes on what TensorRT says, and keeps what a build needs of it: the figures, the errors."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self.activation_bytes: int | None = None
        self.weights_bytes: int | None = None
        self.timing_cache_refused = False
        self.errors: list[str] = []

    def note(self, severity: str, message: str) -> None:
        """Take one message; ``severity`` is a name of TensorRT's enumeration, such as "WARNING"."""
        now = datetime.now().isoformat(" ", "milliseconds")
        # What follows a line break is indented, so that it is not taken for a line of its own.
        self._write(f"{now} {severity} " + message.replace("\n", "\n    ") + "\n")
        if found := _ACTIVATION.search(message):
            self.activation_bytes = int(found[1])
        if found := _WEIGHTS.search(message):
            self.weights_bytes = int(found[1])
        if _CACHE_REFUSED.search(message):
            self.timing_cache_refused = True
        if severity in ("INTERNAL_ERROR", "ERROR") and not NOISE.search(message):
            self.errors.append(message)


def is_log(path: Path) -> bool:
    """Whether ``path`` may be written over: nothing yet, empty, a device or a terminal, or a log of ours."""
    if not path.is_file():
        return True
    try:
        with path.open("rb") as stream:
            start = stream.read(64)
    except OSError:  # told by whoever opens it to write
        return True
    return not start or _STAMP.match(start.decode("utf-8", "replace")) is not None


def tail(path: Path, start: int) -> list[str]:
    """The last entries of the log ``path`` that tell why a build failed; what lies before byte ``start`` is ignored.

    These are errors, warnings and what did not come through TensorRT's logger, such as the last words of a crash;
    the last of any kind where there are none of these. Empty if the log cannot be read.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(start, size - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return []
    entries: list[str] = []
    for line in text.split("\n"):  # not splitlines: TensorRT's lists have separators that it takes for line breaks
        if line.startswith(" ") and entries:
            entries[-1] += f" {line.strip()}"
        elif line.strip():
            entries.append(line)
    # Of a Python traceback its last line tells; the log has the rest.
    entries = [entry for entry in entries if not NOISE.search(entry) and not entry.startswith("Traceback")]
    telling = [entry for entry in entries if (stamp := _STAMP.match(entry)) is None or stamp[1] in _COMPLAINTS]
    return [_STAMP.sub("", entry)[:_ENTRY_CHARACTERS] for entry in (telling or entries)[-_TAIL_ENTRIES:]]
