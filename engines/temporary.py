"""A folder for what a build needs for a moment, in the place the system keeps for such files."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from briges.runtime.errors import OutputError


@contextlib.contextmanager
def temporary_folder(fill: Callable[[Path], None]) -> Iterator[Path]:
    """Make a folder, let ``fill`` write into it, and remove it when the block ends.

    Raises OutputError if there is no place for it, or not enough.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="briges-")))
            fill(folder)
        except OSError as error:
            raise OutputError(
                subject="temporary files",
                came=f"cannot be written: {error.strerror or error}",
                expected="a writable folder with a few megabytes of free space",
                cure="free some space there, or name another folder in the variable TMPDIR",
            ) from error
        yield folder
