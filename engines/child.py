"""The process that builds one engine: `python -m briges.engines.child JOB.json RESULT.json`, started by `worker`.

TensorRT can end a process (std::terminate), and large graphs can have it killed; the one of the user survives that.
Progress leaves on standard output, one JSON list [phase, done, total] per line; everything else goes to standard error,
which is the log.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from briges.engines.job import Outcome, PlanJob, to_failure
from briges.engines.network import build
from briges.engines.parent import die_with
from briges.runtime.errors import BrigesError, BuildError, OutputError
from briges.runtime.files import write_text
from briges.runtime.records import from_object, parse_json, to_json


def main(job_file: str, result_file: str, parent_pid: str) -> None:
    """Build what ``job_file`` says and write the outcome, a success or one of our errors, to ``result_file``.

    parent_pid: the process that waits for it; without it nothing is built.
    """
    die_with(int(parent_pid))
    # TensorRT and its libraries print to standard output, which would break the protocol.
    progress = os.dup(1)
    os.dup2(2, 1)

    def report(phase: str, done: int, total: int) -> bool:
        try:
            os.write(progress, f"{json.dumps([phase, done, total])}\n".encode())
        except OSError:  # nobody listens any more
            return False
        return True

    job = from_object(PlanJob, parse_json(Path(job_file).read_bytes()))
    try:
        outcome = Outcome(build(job, report, _write_log), None)
    except BrigesError as error:
        outcome = Outcome(None, to_failure(error))
    except MemoryError:
        outcome = Outcome(None, to_failure(_out_of_memory(job)))
    try:
        write_text(Path(result_file), to_json(outcome))
    except OutputError as error:
        _write_log(f"{error}\n")
        sys.exit(1)


def _write_log(text: str) -> None:
    with contextlib.suppress(OSError):  # a full disk must not hide that the plan could not be saved either
        os.write(2, text.encode("utf-8", "replace"))


def _out_of_memory(job: PlanJob) -> BuildError:
    return BuildError(
        subject=f"engine of {job.onnx}",
        came="memory ran out",
        expected="several times the size of the weights, free",
        cure="close other programs or add swap, and run the same command again",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
