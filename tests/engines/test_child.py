"""The building process by itself: what it reads, what it writes where, what it loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import environment, run_python
from support.tiny_graphs import write_attention_graph

from briges.engines.job import Outcome, PlanJob, to_error, to_failure
from briges.engines.spec import EngineSpec
from briges.runtime.errors import BackendError, BuildError, GateError, MissingExtraError, OutputError
from briges.runtime.records import from_object, parse_json, to_json


@pytest.fixture
def job(tmp_path: Path) -> PlanJob:
    graph = write_attention_graph(tmp_path / "graph.onnx", blocks=2)
    job = PlanJob(str(graph), str(tmp_path / "plan"), EngineSpec("tensorrt-rtx"))
    (tmp_path / "job.json").write_text(to_json(job))
    return job


def command(folder: Path) -> list[str]:
    files = (str(folder / "job.json"), str(folder / "result.json"))
    return [sys.executable, "-m", "briges.engines.child", *files, str(os.getpid())]


def result(folder: Path) -> Outcome:
    return from_object(Outcome, parse_json((folder / "result.json").read_bytes()))


def test_progress_is_all_that_leaves_on_standard_output(job, tmp_path):
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, env=environment(), check=True, cwd="/")
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert steps[0] == ["reading the graph", 0, 1]
    assert all([type(part) for part in step] == [str, int, int] for step in steps)
    outcome = result(tmp_path)
    assert outcome.failure is None
    assert outcome.plan.plan_bytes == Path(job.plan).stat().st_size
    assert f"Total Activation Memory: {outcome.plan.activation_bytes} bytes" in done.stderr


def test_a_refusal_is_a_result_too(job, tmp_path):
    Path(job.onnx).write_bytes(b"")
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, env=environment(), check=True, cwd="/")
    assert "Traceback" not in done.stderr
    outcome = result(tmp_path)
    assert outcome.plan is None
    assert (outcome.failure.kind, outcome.failure.subject) == ("BuildError", f"engine of {job.onnx}")


def test_a_child_nobody_listens_to_gives_up(job, tmp_path):
    with subprocess.Popen(
        command(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as child:
        child.stdout.close()
        child.stderr.read()
    assert "Build canceled by user" in result(tmp_path).failure.came
    assert not Path(job.plan).exists()


def test_building_loads_no_framework(job, tmp_path):
    code = (
        "import sys\nfrom briges.engines.child import main\nmain(*sys.argv[1:])\n"
        "print('loaded', [name for name in ('torch', 'onnx', 'onnxruntime', 'polygraphy', 'cv2', 'rich', 'click')"
        " if name in sys.modules], file=sys.stderr)"
    )
    done = run_python(code, tmp_path / "job.json", tmp_path / "result.json", os.getpid())
    assert done.stderr.splitlines()[-1] == "loaded []"
    assert Path(job.plan).exists()


@pytest.mark.parametrize("kind", [BuildError, OutputError, BackendError, MissingExtraError])
def test_our_errors_cross_the_process_border_with_a_word_on_the_log(kind):
    error = kind(subject="engine", came="nothing", expected="something", cure="wait")
    back = to_error(to_failure(error), "  full log: log")
    assert type(back) is kind
    assert str(back) == "engine: nothing\n  full log: log\n  expected: something\n  cure: wait"


def test_an_error_of_another_kind_arrives_as_a_build_error():
    error = GateError(subject="engine", came="nothing", expected="something", cure="wait")
    assert type(to_error(to_failure(error), "log")) is BuildError
