"""A child's bond to its parent: it ends when the parent does, however that happens."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent_pid: int) -> None:
    """Ask the system to end this process with the one that started it; end at once if that has gone already."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # elsewhere the broken pipe ends it a little later
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent_pid:  # it died before we could ask for that
        sys.exit("the process that asked for this has gone")
