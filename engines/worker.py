"""Builds an engine in a process of its own and turns whatever happens to it into one error."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from briges.engines import trt_log
from briges.engines.job import BuiltPlan, Outcome, PlanJob, to_error
from briges.engines.temporary import temporary_folder
from briges.runtime.errors import BuildError
from briges.runtime.files import translated
from briges.runtime.flavour import load
from briges.runtime.manifest import Flavour
from briges.runtime.probe import signal_name
from briges.runtime.records import RecordError, from_object, parse_json, to_json

OnProgress = Callable[[str, int, int], None]

_JOB, _RESULT = "job.json", "result.json"
_RTX_LIBRARY = "libtensorrt_rtx.so"
_OUT_OF_MEMORY = "close other programs or add swap, and run the same command again"
_RUN_AGAIN = "run the same command again"
_REPORT = "report it with that log; meanwhile `--flavour onnxruntime` runs the model"


def build_plan(job: PlanJob, log_file: Path, on_progress: OnProgress) -> BuiltPlan:
    """Build one engine with TensorRT or TensorRT-RTX in a child process.

    log_file: TensorRT's full log is appended here. on_progress: called with the phase's name and how many of how many
    steps of it are done; phases nest, and so come interleaved.
    Leaves no plan file behind unless it is whole, and no process, Ctrl-C included. The folder of ``job.plan`` must
    exist.
    Raises MissingExtraError or BackendError if the flavour cannot be used here, OutputError if the plan or the log
    cannot be written, BuildError for everything else, with the end of the log.
    """
    assert job.spec.flavour != "onnxruntime"
    load(job.spec.flavour)  # here, where a missing SDK is told without a process, a log and their clean-up
    plan = Path(job.plan)
    try:
        with temporary_folder(lambda folder: _prepare(job, folder)) as folder, _appending(log_file) as log:
            start = log.tell() if log.seekable() else 0  # a terminal has no place to come back to
            with _running(folder, log.fileno()) as child:
                _forward(child, on_progress)
                code = child.wait()
            return _outcome(job, code, folder / _RESULT, log_file, start)
    except BaseException:
        with contextlib.suppress(OSError):
            plan.unlink(missing_ok=True)
        raise


def _prepare(job: PlanJob, folder: Path) -> None:
    (folder / _JOB).write_text(to_json(job), encoding="utf-8")
    _link_libraries(job.spec.flavour, folder)


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[BinaryIO]:
    with contextlib.ExitStack() as stack:
        with translated(path):
            stream = stack.enter_context(path.open("ab"))
        yield stream


def _link_libraries(flavour: Flavour, folder: Path) -> None:
    # The parser opens its library by the unversioned name, which the wheel lacks, and calls std::terminate.
    for library in _rtx_libraries() if flavour == "tensorrt-rtx" else ():
        (folder / _RTX_LIBRARY).symlink_to(library)


def _environment(folder: Path) -> dict[str, str]:
    """The child's environment: the dynamic linker reads its variables when a process starts, and never again."""
    given = os.environ.get("LD_LIBRARY_PATH")
    libraries = f"{folder}{os.pathsep}{given}" if given else str(folder)
    # PYTHONSAFEPATH (Python 3.11): a file onnx.py in the user's folder is not the module onnx.
    return {**os.environ, "PYTHONSAFEPATH": "1", "LD_LIBRARY_PATH": libraries}


def _rtx_libraries() -> list[Path]:
    """The wheel's library; none if TensorRT-RTX was installed from its SDK, which has the unversioned name too."""
    found = importlib.util.find_spec("tensorrt_rtx_libs")
    folders = found.submodule_search_locations if found else None
    return sorted(path for folder in folders or () for path in Path(folder).glob(f"{_RTX_LIBRARY}.*"))[:1]


@contextlib.contextmanager
def _running(folder: Path, log: int) -> Iterator[subprocess.Popen[str]]:
    """A child in a session of its own, so that Ctrl-C reaches only us; killed and waited for however the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "briges.engines.child", str(folder / _JOB), str(folder / _RESULT), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=_environment(folder),
        start_new_session=True,
        encoding="utf-8",
        errors="replace",
    ) as child:
        try:
            yield child
        finally:
            child.kill()  # does nothing to one that has ended
            child.wait()  # Popen itself waits only a moment after Ctrl-C


def _forward(child: subprocess.Popen[str], on_progress: OnProgress) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        try:
            phase, done, total = json.loads(line)
        except (ValueError, TypeError):  # the last line of a process killed while it wrote, or somebody's print
            continue
        on_progress(phase, done, total)


def _outcome(job: PlanJob, code: int, result_file: Path, log_file: Path, start: int) -> BuiltPlan:
    outcome = _read_outcome(result_file) if code == 0 else None
    if outcome is not None and outcome.failure is not None:
        raise to_error(outcome.failure, _where(log_file))
    if outcome is None or outcome.plan is None:
        raise _died(job, code, log_file, start)
    found = os.path.getsize(job.plan) if os.path.isfile(job.plan) else 0
    if found != outcome.plan.plan_bytes:
        raise BuildError(
            subject=f"engine of {job.onnx}",
            came=f"its plan file has {found} bytes\n{_where(log_file)}",
            expected=f"the {outcome.plan.plan_bytes} bytes that were written",
            cure=_RUN_AGAIN,
        )
    return outcome.plan


def _read_outcome(path: Path) -> Outcome | None:
    try:
        return from_object(Outcome, parse_json(path.read_bytes()))
    except (OSError, RecordError):
        return None


def _died(job: PlanJob, code: int, log_file: Path, start: int) -> BuildError:
    last = trt_log.tail(log_file, start)
    reason, expected, cure = _post_mortem(code, "\n".join(last))
    quoted = "".join(f"\n    {line}" for line in last)
    said = f"\n  the end of its log:{quoted}" if last else ""
    return BuildError(
        subject=f"engine of {job.onnx}", came=f"{reason}{said}\n{_where(log_file)}", expected=expected, cure=cure
    )


def _post_mortem(code: int, last: str) -> tuple[str, str, str]:
    """Why a child ended without an outcome: the reason, what was expected and the cure."""
    if code >= 0 and os.strerror(errno.ENOSPC) in last:
        return "the disk of the temporary files is full", "a few megabytes free", "free some space, or set TMPDIR"
    if code >= 0:
        return f"the building process ended without a result (exit code {code})", "an engine or an error", _REPORT
    name = signal_name(-code)
    if code == -signal.SIGKILL:
        reason = f"the building process was killed ({name}), as the system does when memory runs out"
        return reason, "several times the size of the weights, free", _OUT_OF_MEMORY
    if "bad_alloc" in last:
        return f"memory ran out ({name})", "several times the size of the weights, free", _OUT_OF_MEMORY
    if code in (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP):
        return f"the building process was stopped by somebody ({name})", "to be left alone", _RUN_AGAIN
    return f"TensorRT crashed ({name})", "an engine or an error", _REPORT


def _where(log_file: Path) -> str:
    return f"  full log: {log_file}"
