"""Compiles kernels in child processes, one per core: LLVM ends the process for what it does not like."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import IO

from briges.engines.parent import die_with
from briges.engines.plugin.compile_kernels import CompiledKernel, compile_failed, compile_kernel
from briges.engines.plugin.variants import Variant
from briges.runtime.errors import BuildError
from briges.runtime.records import from_object


def compile_all(variants: Sequence[Variant], on_done: Callable[[Variant], None]) -> list[CompiledKernel]:
    """Compile, in the order of ``variants``. ``on_done``: told of each, from other threads.

    Leaves no process behind, Ctrl-C included. Raises BuildError for the first kernel that cannot be compiled.
    """
    count = min(os.cpu_count() or 1, len(variants))
    batches = [variants[index::count] for index in range(count)]
    with contextlib.ExitStack() as stack:
        # Killed children clean up nothing: all their temporary files are in one folder of ours.
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="briges-"))
        # Started from this thread: a child ends with the thread that started it.
        children = [stack.enter_context(_running(batch, scratch)) for batch in batches]
        with ThreadPoolExecutor(count) as pool:
            try:
                waiting = [pool.submit(_results, *item, on_done) for item in zip(children, batches, strict=True)]
                found = {kernel.variant: kernel for batch in waiting for kernel in batch.result()}
            finally:
                for process, _ in children:
                    process.kill()  # does nothing to one that has ended; the threads then read the end
    return [found[variant] for variant in variants]


Child = tuple["subprocess.Popen[str]", IO[str]]


@contextlib.contextmanager
def _running(batch: Sequence[Variant], scratch: str) -> Iterator[Child]:
    """A child in a session of its own, so that Ctrl-C reaches only us, and what it writes on standard error."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TMPDIR"] = scratch
    environment["PYTHONSAFEPATH"] = "1"  # Python 3.11: a file triton.py in the user's folder is not the module
    request = json.dumps([asdict(variant) for variant in batch])
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(
            [sys.executable, "-m", __name__, str(os.getpid()), request],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,
            encoding="utf-8",
        ) as process,
    ):
        try:
            yield process, log
        finally:
            process.kill()
            process.wait()


def _results(child: Child, batch: Sequence[Variant], on_done: Callable[[Variant], None]) -> list[CompiledKernel]:
    process, log = child
    assert process.stdout is not None
    found = []
    for line in process.stdout:
        kernel = from_object(CompiledKernel, json.loads(line))
        found.append(kernel)
        on_done(kernel.variant)
    code = process.wait()
    if len(found) < len(batch):
        log.seek(0)
        said = [line.strip() for line in log if line.strip()]
        came = said[-1] if said else f"its compiler ended with exit code {code}"
        raise _out_of_space() if os.strerror(errno.ENOSPC) in came else compile_failed(batch[len(found)], came)
    return found


def _out_of_space() -> BuildError:
    return BuildError(
        subject="attention kernels",
        came="the disk of the temporary files is full",
        expected="a few megabytes free",
        cure="free some space, or set TMPDIR",
    )


def _main(parent_pid: str, request: str) -> None:
    die_with(int(parent_pid))
    # Triton and LLVM print to standard output, which would break the protocol.
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for raw in json.loads(request):
        try:
            kernel = compile_kernel(from_object(Variant, raw))
        except BuildError as error:
            sys.exit(error.came)
        results.write(f"{json.dumps(asdict(kernel))}\n")
        results.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
