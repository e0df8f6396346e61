"""Runs the cases of a matrix, each in processes of its own, and goes on where an earlier run ended.

A case that was measured has a file of its own in the folder of results, which is whole or absent: after a crash the
same command measures what is missing. A case that fails leaves a row with the reason, and is tried again.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from briges.benchmarks.environment import read_environment
from briges.benchmarks.matrix_spec import Case, MatrixSpec
from briges.benchmarks.records import Row, append_row, read_rows
from briges.benchmarks.rows import RESULT_SCHEMA, LatencyRow, UnmeasuredRow
from briges.runtime.errors import ResultError
from briges.runtime.files import replacing

_COMMAND = (sys.executable, "-c", "from briges.runtime.entry import main; main()")
_ON_ENGINE = ("onnxruntime", "tensorrt", "tensorrt-rtx")


@dataclass(frozen=True)
class Outcome:
    """``results``: the file of the case. ``reused``: measured by an earlier run. ``reason``: why it was not, if so."""

    case: Case
    results: Path
    reused: bool
    reason: str | None


def run_matrix(spec: MatrixSpec, folder: Path, on_step: Callable[[str], None]) -> Iterator[Outcome]:
    """Measure every case that is not measured yet. Bundles stay in ``folder / "bundles"``, for cases that share them.

    Raises OutputError; what a case raises becomes its reason. Ctrl-C ends the matrix; finished cases stay.
    """
    cases = list(spec.cases())
    for number, case in enumerate(cases, start=1):
        results = folder / f"{case.name}.jsonl"
        if _is_measured(results):
            yield Outcome(case, results, True, None)
            continue
        on_step(f"{number} of {len(cases)}: {case.name}")
        with replacing(results) as temporary, tempfile.TemporaryDirectory() as scratch:
            temporary.unlink()  # so that rows can be added to it
            reason = _measure(case, spec, folder / "bundles", Path(scratch) / results.name)
            rows: list[Row] = [_unmeasured(case, reason)] if reason else read_rows([Path(scratch) / results.name])
            for row in rows:
                append_row(temporary, _tidied(row, scratch))
        yield Outcome(case, results, False, reason)


def _tidied(row: Row, scratch: str) -> Row:
    """A row whose command does not name the folder that is gone by now."""
    if not isinstance(row, LatencyRow):
        return row
    command = row.method.command.replace(f"{scratch}{os.sep}", "")
    return dataclasses.replace(row, method=dataclasses.replace(row.method, command=command))


def _is_measured(results: Path) -> bool:
    try:
        return not any(isinstance(row, UnmeasuredRow) for row in read_rows([results]))
    except ResultError:
        return False


def _measure(case: Case, spec: MatrixSpec, bundles: Path, out: Path) -> str | None:
    """Export, build, time; or why not."""
    model = bundles / case.model_name
    flavour = case.backend if case.backend in _ON_ENGINE else "onnxruntime"
    bundle = model.with_name(f"{model.name}_{flavour}")
    export = ["export", case.preset, "--out", str(model), "--precision", case.precision, "--attention", case.attention]
    export += ["--batch", str(case.batch)]
    export += ["--size", case.size] if case.size else []
    weights = ["--checkpoint", spec.checkpoint] if spec.checkpoint else []
    build = ["build", str(model), "--out", str(bundle), "--flavour", flavour]
    backend = "engine" if case.backend in _ON_ENGINE else case.backend
    time = ["bench", "latency", str(bundle), "--backend", backend, "--json", str(out)]
    time += weights if backend != "engine" else []
    for name, value in spec.latency.items():
        time += [f"--{name}", value] if value else [f"--{name}"]
    for arguments in (export + (weights or ["--random-weights", "0"]), build, time):
        if reason := _failure(arguments):
            return reason
    return None


def _failure(arguments: Sequence[str]) -> str | None:
    """Run `briges`; what it said where it failed."""
    done = subprocess.run([*_COMMAND, *arguments], capture_output=True, text=True, check=False, errors="replace")
    if done.returncode == 0:
        return None
    said = done.stderr[done.stderr.rfind("Error:") :] if "Error:" in done.stderr else done.stderr
    detail = " ".join(said.removeprefix("Error:").split()) or f"it ended with exit code {done.returncode}"
    return f"briges {arguments[0]}: {detail}"


def _unmeasured(case: Case, reason: str) -> UnmeasuredRow:
    measured_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    environment = read_environment(None, ("numpy", "onnxruntime", "torch", "tensorrt"))
    return UnmeasuredRow(RESULT_SCHEMA, "unmeasured", measured_at, case.identity(), reason, environment)
