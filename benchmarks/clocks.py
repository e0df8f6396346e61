"""`--lock-clocks`: the GPU at its highest clock while something is measured, and afterwards as it was.

nvidia-smi cannot tell whether somebody had locked the clocks before: afterwards they are free. jetson_clocks stores
what it changes, the clocks of the CPU and memory and the fan among it, and restores all of it.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from briges.benchmarks import nvidia_smi
from briges.runtime.errors import BackendError, UsageError
from briges.runtime.jetson import read_jetson

logger = logging.getLogger("briges")

_TIMEOUT_S = 20
_SUBJECT = "--lock-clocks"
_CURE = "run the same command with sudo, or leave --lock-clocks out"


@contextlib.contextmanager
def locked_clocks(index: int | None, *, root: Path = Path("/")) -> Iterator[None]:
    """Lock the clocks of CUDA's GPU number ``index``, None for a CPU, until the block is left, by Ctrl-C too.

    root: where the file system begins that tells a Jetson. Raises UsageError where there is no GPU, BackendError where
    the clocks cannot be locked; then they are as they were.
    """
    if read_jetson(root) is not None:
        lock = _jetson_clocks()
    elif index is not None:
        lock = _locked_gpu(index)
    else:
        raise UsageError(
            subject=_SUBJECT,
            came="a run on the CPU: there is no GPU clock to lock",
            expected="a run on a GPU",
            cure="leave --lock-clocks out",
        )
    with lock:
        yield


@contextlib.contextmanager
def _locked_gpu(index: int) -> Iterator[None]:
    program, bus_id = shutil.which("nvidia-smi"), nvidia_smi.find_bus_id(index)
    if program is None or bus_id is None:
        raise _refusal("no nvidia-smi here" if program is None else f"no GPU number {index}")
    highest = nvidia_smi.number(nvidia_smi.query(bus_id, ["clocks.max.sm"]), "clocks.max.sm")
    if highest is None:
        raise _refusal("nvidia-smi does not tell this GPU's highest clock")
    may_be_locked = True  # as long as the command was not heard to refuse
    try:
        said, status = _run([program, "-i", bus_id, "-lgc", f"{highest:.0f},{highest:.0f}"])
        # A GPU that cannot be locked is "treated as warning", with exit status 0.
        locked = status == 0 and "clocks set to" in said
        may_be_locked = locked or status is None
        if not locked:
            raise _refusal(f"nvidia-smi says: {_first_line(said)}")
        yield
    finally:
        if may_be_locked:
            _restore([program, "-i", bus_id, "-rgc"])


@contextlib.contextmanager
def _jetson_clocks() -> Iterator[None]:
    program = shutil.which("jetson_clocks")
    if program is None:
        raise _refusal("no jetson_clocks here")
    folder = Path(tempfile.mkdtemp(prefix="briges-clocks-"))
    stored = folder / "before.conf"
    restored = True
    try:
        said, status = _run([program, "--store", str(stored)])
        if status != 0 or not stored.exists():
            raise _refusal(f"jetson_clocks says: {_first_line(said)}")
        restored = False
        try:
            said, status = _run([program])
            if status != 0 or "Error" in said:
                raise _refusal(f"jetson_clocks says: {_first_line(said)}")
            yield
        finally:
            restored = _restore([program, "--restore", str(stored)])
    finally:
        if restored:
            shutil.rmtree(folder, ignore_errors=True)


def _restore(command: Sequence[str]) -> bool:
    with _uninterrupted():
        said, status = _run(command)
    if status != 0:
        logger.warning(
            "%s: the clocks stay locked, %s says: %s; run `sudo %s`",
            _SUBJECT,
            Path(command[0]).name,
            _first_line(said),
            shlex.join(command),
        )
    return status == 0


def _run(command: Sequence[str]) -> tuple[str, int | None]:
    """What the command says, and its exit status; None where it did not come to an end."""
    try:
        # In a session of its own: Ctrl-C must not stop it half-way.
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
            start_new_session=True,
        )
    except OSError as error:
        return error.strerror or str(error), 127
    except subprocess.TimeoutExpired:
        return f"nothing for {_TIMEOUT_S} s", None
    return done.stdout, done.returncode


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Nobody who presses Ctrl-C twice is left with locked clocks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "nothing")


def _refusal(came: str) -> BackendError:
    return BackendError(subject=_SUBJECT, came=came, expected="a GPU whose clocks this user may lock", cure=_CURE)
