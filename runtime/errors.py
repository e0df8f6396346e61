"""Every error this toolchain raises on purpose.

    BrigesError                      exit 1: something came that cannot be worked with
    |-- UsageError                   exit 2: the request itself is wrong
    |   |-- UnknownNameError         a preset, weight file or option value that does not exist
    |   `-- InvalidSizeError         a height, width or batch the model cannot have
    |-- CheckpointError              a weight file that cannot be read, or does not fit the preset
    |-- ExportError                  the ONNX model could not be made or failed its check
    |-- DownloadError                a public file could not be fetched or is not the expected one
    |-- BuildError                   an engine could not be built
    |   `-- GateError                it was built and its output is too far from the reference
    |-- BundleError                  a model folder or bundle that is damaged, foreign or too new
    |-- ImageError                   an image or video that cannot be used
    |-- OutputError                  a file that could not be written
    |-- DatasetError                 a dataset, or a file of one, that cannot be used
    |-- ResultError                  measurements that cannot be read, or not be compared
    |-- BackendError                 the inference backend failed or is not usable
    `-- MissingExtraError            an optional dependency is not installed

Each one says what it is about, what came, what was expected, and the cure.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BrigesError(Exception):
    """Base of all errors above. ``exit_code`` is what the command line returns."""

    exit_code = 1

    def __init__(self, *, subject: str, came: str, expected: str, cure: str) -> None:
        self.subject, self.came, self.expected, self.cure = subject, came, expected, cure
        super().__init__(f"{subject}: {came}\n  expected: {expected}\n  cure: {cure}")

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments need help to cross a process boundary.
        fields = {"subject": self.subject, "came": self.came, "expected": self.expected, "cure": self.cure}
        return _rebuild, (type(self), fields)


def _rebuild(kind: type[BrigesError], fields: dict[str, str]) -> BrigesError:
    return kind(**fields)


class UsageError(BrigesError):
    """The request itself is wrong."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that does not exist."""


def unknown_name(subject: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that is not among ``known``: it suggests the nearest, and never corrects silently."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return UnknownNameError(
        subject=subject,
        came=repr(name),
        expected=f"one of {', '.join(names)}",
        cure=f"did you mean {near[0]!r}?" if near else "pick a name from the list",
    )


class InvalidSizeError(UsageError):
    """A height, width or batch the model cannot have."""


class CheckpointError(BrigesError):
    """A weight file that cannot be read or does not fit the preset."""


class ExportError(BrigesError):
    """The ONNX model could not be made or failed its check."""


class DownloadError(BrigesError):
    """A public file could not be fetched or is not the expected one."""


class BuildError(BrigesError):
    """An engine could not be built."""


class GateError(BuildError):
    """An engine was built and its output is too far from the reference."""


class BundleError(BrigesError):
    """A model folder or bundle that is damaged, foreign or too new."""


class ImageError(BrigesError):
    """An image or video that cannot be used."""


class OutputError(BrigesError):
    """A file that could not be written."""


class DatasetError(BrigesError):
    """A dataset, or a file of one, that cannot be used."""


class ResultError(BrigesError):
    """Measurements that cannot be read, or not be compared."""


class BackendError(BrigesError):
    """The inference backend failed or is not usable."""


class MissingExtraError(BrigesError):
    """An optional dependency is not installed."""
