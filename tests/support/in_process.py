"""Runs `briges` in this process, which has torch loaded already; ``support.commands`` gives it a process of its own."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from briges.runtime.main import main


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    code: int
    out: str
    err: str


def run_briges(*arguments: str | Path) -> Answer:
    """Run `briges ARGUMENTS` and catch its exit."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert isinstance(stopped.value.code, int)
    return Answer(stopped.value.code, out.getvalue(), err.getvalue())
