"""A build in a process of its own: whatever happens to that process is told in one error, and nothing stays behind."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.commands import run_python
from support.tiny_graphs import COMPLETED, SLOW_BLOCKS, write_attention_graph, write_nodes

from briges.engines.job import BuiltPlan, PlanJob
from briges.engines.spec import EngineSpec
from briges.engines.worker import build_plan
from briges.runtime.errors import BuildError, OutputError


def unwatched(phase: str, done: int, total: int) -> None:
    """Takes progress and does nothing with it."""
    del phase, done, total


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BuiltPlan]:
    """Builds a graph into `plan`, its log into `log`; afterwards looks for what must not be left: files, processes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def run(graph: Path, on_progress: Callable[[str, int, int], None] = unwatched, **options: object) -> BuiltPlan:
        job = PlanJob(str(graph), str(tmp_path / "plan"), EngineSpec("tensorrt-rtx", **options))
        try:
            plan = build_plan(job, tmp_path / "log", on_progress)
        except BaseException:
            assert not os.path.lexists(tmp_path / "plan")
            raise
        finally:
            assert list((tmp_path / "temporary").iterdir()) == []
            assert children() == []
        return plan

    return run


def children() -> list[int]:
    """Processes of ours."""
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


@pytest.fixture
def in_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Runs some code in the building process, before it starts to build."""

    def install(code: str) -> None:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))

    return install


def test_an_engine_is_built_with_its_full_log_and_its_progress(build, tmp_path, capfd):
    seen: list[tuple[str, int, int]] = []
    plan = build(write_attention_graph(tmp_path / "graph.onnx"), lambda *step: seen.append(step))
    assert plan.plan_bytes == (tmp_path / "plan").stat().st_size
    assert plan.layers["SOFTMAX"] == 1
    log = (tmp_path / "log").read_text()
    assert f"Total Activation Memory: {plan.activation_bytes} bytes" in log
    assert COMPLETED in log
    assert {"reading the graph", "Building engine", "saving the plan"} <= {phase for phase, _, _ in seen}
    assert capfd.readouterr() == ("", "")


def test_a_refusal_is_told_with_the_path_of_the_log_and_nothing_is_printed(build, tmp_path, capfd):
    graph = write_nodes(tmp_path / "graph.onnx", ["Frobnicate"], domain="org.example")
    with pytest.raises(BuildError) as caught:
        build(graph)
    assert str(caught.value) == (
        f"engine of {graph}: TensorRT cannot parse it:\n"
        "    node /net/0 (Frobnicate): TensorRT has no operator and no plugin named Frobnicate\n"
        f"  full log: {tmp_path}/log\n"
        "  expected: operators, types and shapes that TensorRT knows\n"
        "  cure: export the model again with `briges export`, or use --flavour onnxruntime"
    )
    assert capfd.readouterr() == ("", "")


def test_one_log_holds_several_builds(build, tmp_path):
    build(write_attention_graph(tmp_path / "graph.onnx"))
    once = (tmp_path / "log").stat().st_size
    build(write_attention_graph(tmp_path / "graph.onnx"))
    assert (tmp_path / "log").stat().st_size > 1.9 * once


def test_a_disk_that_fills_up_leaves_no_half_plan(build, tmp_path):
    (tmp_path / "plan").symlink_to("/dev/full")
    with pytest.raises(OutputError) as caught:
        build(write_attention_graph(tmp_path / "graph.onnx"))
    assert caught.value.subject == f"output {tmp_path}/plan"
    assert caught.value.came.startswith("cannot be written: No space left on device\n  full log: ")
    assert caught.value.cure == "free some space or choose another disk with --out"


_LIMITED = """
import resource, sys
from pathlib import Path
from briges.engines.job import PlanJob
from briges.engines.spec import EngineSpec
from briges.engines.worker import build_plan
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, -1))
build_plan(PlanJob(sys.argv[1], sys.argv[2], EngineSpec("tensorrt-rtx")), Path(sys.argv[3]), lambda *step: None)
"""


def test_a_plan_cut_in_the_middle_is_removed_even_where_the_log_is_cut_too(tmp_path):
    graph = write_attention_graph(tmp_path / "graph.onnx", blocks=3)
    error = run_python(_LIMITED, graph, tmp_path / "plan", tmp_path / "log").stderr
    assert "OutputError: output" in error
    assert "cannot be written: File too large" in error
    assert (tmp_path / "log").stat().st_size == 40_000
    assert not (tmp_path / "plan").exists()


def test_a_process_killed_in_the_middle_is_told_as_memory_that_ran_out(build, tmp_path):
    def kill(*step: object) -> None:
        if step[:2] == ("Building engine", 1):
            os.kill(children()[0], signal.SIGKILL)

    with pytest.raises(BuildError) as caught:
        build(write_attention_graph(tmp_path / "graph.onnx", SLOW_BLOCKS), kill)
    first, *rest = caught.value.came.splitlines()
    assert first == "the building process was killed (SIGKILL), as the system does when memory runs out"
    assert rest[0] == "  the end of its log:"
    assert rest[-1] == f"  full log: {tmp_path}/log"
    assert caught.value.cure == "close other programs or add swap, and run the same command again"


CRASH = "import sys\nif sys.orig_argv[1:3] == ['-m', 'briges.engines.child']: "


@pytest.mark.parametrize(
    ("code", "came", "cure"),
    [
        ("import os; os.abort()", "TensorRT crashed (SIGABRT)", "report it with that log; "),
        ("import ctypes; ctypes.string_at(0)", "TensorRT crashed (SIGSEGV)", "report it with that log; "),
        (
            "import os; os.write(2, b\"terminate called after throwing 'std::bad_alloc'\\n\"); os.abort()",
            "memory ran out (SIGABRT)\n  the end of its log:\n    terminate called after throwing 'std::bad_alloc'",
            "close other programs or add swap",
        ),
        ("import os; os.kill(os.getpid(), 15)", "the building process was stopped by somebody (SIGTERM)", "run the "),
        ("import os; os._exit(3)", "the building process ended without a result (exit code 3)", "report it with "),
        ("import os; os._exit(0)", "the building process ended without a result (exit code 0)", "report it with "),
    ],
)
def test_every_end_of_the_process_has_its_reason_in_words(build, in_child, tmp_path, code, came, cure):
    in_child(CRASH + code)
    with pytest.raises(BuildError) as caught:
        build(write_attention_graph(tmp_path / "graph.onnx"))
    assert caught.value.came.startswith(came)
    assert caught.value.came.endswith(f"  full log: {tmp_path}/log")
    assert caught.value.cure.startswith(cure)


def test_a_crash_is_not_explained_with_an_earlier_build(build, in_child, tmp_path):
    (tmp_path / "log").write_text("2026-11-24 08:00:00.000 ERROR of yesterday\n")
    in_child(f"{CRASH}import os; os.write(2, b'of today\\\\n'); os.abort()")
    with pytest.raises(BuildError, match="of today") as caught:
        build(write_attention_graph(tmp_path / "graph.onnx"))
    assert "of yesterday" not in caught.value.came
    assert (tmp_path / "log").read_text().startswith("2026-11-24 08:00:00.000 ERROR of yesterday\n")


@pytest.mark.parametrize("result", ["", "{}", '{"plan": null, "failure": null}', '{"plan": null, "fail'])
def test_a_result_that_is_none_is_not_believed(build, in_child, tmp_path, result):
    in_child(f"{CRASH}import os; open(sys.orig_argv[4], 'w').write({result!r}); os._exit(0)")
    with pytest.raises(BuildError, match="ended without a result"):
        build(write_attention_graph(tmp_path / "graph.onnx"))


def test_a_plan_shorter_than_what_was_written_is_not_believed(build, in_child, tmp_path):
    shorten = f"import atexit, os; atexit.register(lambda: os.truncate({str(tmp_path / 'plan')!r}, 1000))"
    in_child(CRASH + shorten)
    with pytest.raises(BuildError) as caught:
        build(write_attention_graph(tmp_path / "graph.onnx"))
    assert caught.value.came.startswith("its plan file has 1000 bytes")


def test_an_error_of_whoever_watches_ends_the_build(build, tmp_path):
    def fail(*step: object) -> None:
        raise ZeroDivisionError(step[0])

    with pytest.raises(ZeroDivisionError, match="reading the graph"):
        build(write_attention_graph(tmp_path / "graph.onnx", SLOW_BLOCKS), fail)
    assert COMPLETED not in (tmp_path / "log").read_text()


def test_the_childs_linker_finds_the_library_by_the_name_the_parser_asks_for(build, in_child, tmp_path):
    # Without it the parser ends the process as soon as a plugin is used.
    with pytest.raises(OSError, match="libtensorrt_rtx"):
        ctypes.CDLL("libtensorrt_rtx.so")
    in_child(f"{CRASH}import ctypes; ctypes.CDLL('libtensorrt_rtx.so'); print('found', file=sys.stderr)")
    build(write_attention_graph(tmp_path / "graph.onnx"))
    assert (tmp_path / "log").read_text().startswith("found\n")


def test_what_the_user_had_on_the_library_path_stays_there(build, in_child, tmp_path, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/somewhere/else")
    in_child(f"{CRASH}import os; print(os.environ['LD_LIBRARY_PATH'], file=sys.stderr)")
    build(write_attention_graph(tmp_path / "graph.onnx"))
    first, second = (tmp_path / "log").read_text().splitlines()[0].split(":")
    assert first.startswith(str(tmp_path / "temporary"))
    assert second == "/somewhere/else"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="older interpreters always look there first")
def test_files_in_the_users_folder_are_not_taken_for_modules(build, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('not the module json')")
    monkeypatch.chdir(tmp_path)
    assert build(write_attention_graph(tmp_path / "graph.onnx")).plan_bytes > 0


def test_what_is_printed_in_the_child_goes_to_the_log_and_not_into_the_protocol(build, in_child, tmp_path):
    in_child(CRASH + """import atexit, os; atexit.register(os.write, 1, b'["nonsense", 1, 2]')""")
    seen: list[str] = []
    build(write_attention_graph(tmp_path / "graph.onnx"), lambda phase, *steps: seen.append(phase))
    assert "reading the graph" in seen
    assert "nonsense" not in seen
    assert '["nonsense", 1, 2]' in (tmp_path / "log").read_text()


def test_no_place_for_temporary_files_or_the_log_is_told(tmp_path, monkeypatch):
    graph = write_attention_graph(tmp_path / "graph.onnx")
    job = PlanJob(str(graph), str(tmp_path / "plan"), EngineSpec("tensorrt-rtx"))
    with pytest.raises(OutputError, match=r"nowhere/log: cannot be written: No such file or directory"):
        build_plan(job, tmp_path / "nowhere" / "log", unwatched)
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null/nowhere")
    with pytest.raises(OutputError, match="TMPDIR") as caught:
        build_plan(job, tmp_path / "log", unwatched)
    assert caught.value.subject == "temporary files"
