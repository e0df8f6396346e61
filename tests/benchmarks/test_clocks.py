"""Clocks are locked for the block and free afterwards. The tools are stand-ins that keep the clocks in a file."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.device_tools import (
    FORBIDDEN,
    UNSUPPORTED,
    add_jetson_clocks,
    add_nvidia_smi,
    add_tool,
    compile_gpu_driver,
    output_of,
    put_on_path,
    start_python,
    wait_until,
    write_jetson,
)

from briges.benchmarks.clocks import locked_clocks
from briges.runtime.errors import BackendError, UsageError

CURE = "run the same command with sudo, or leave --lock-clocks out"

# Arguments: the folder of the tools, the root of the file system, what happens in the block.
LOCKING = """
import logging, sys, time
from pathlib import Path
from briges.benchmarks import clocks
from briges.runtime.errors import BrigesError

logging.basicConfig(format="%(message)s", stream=sys.stdout)
folder, root, then = sys.argv[1:]
clocks._TIMEOUT_S = 0.3 if then == "impatient" else clocks._TIMEOUT_S
try:
    with clocks.locked_clocks(0, root=Path(root)):
        print((folder / Path("clocks")).read_text().strip(), flush=True)
        if then == "fail":
            raise ValueError
        if then == "stay":
            time.sleep(60)
except (BrigesError, ValueError) as error:
    print(f"{type(error).__name__}: {error}")
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is on PATH; "temporary", beside it, is for temporary files, also of children."""
    put_on_path(tmp_path / "tools", monkeypatch)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # where this process looked it up before
    return tmp_path / "tools"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a libcuda with GPUs at 0000:01:00.0 and 0000:02:00.0."""
    return compile_gpu_driver(tmp_path_factory.mktemp("driver") / "library")


@pytest.fixture
def jetson(tmp_path: Path) -> Path:
    """The root of a Jetson's file system."""
    return write_jetson(tmp_path / "jetson")


def clocks_of(tools: Path) -> str:
    """What the stand-in's clocks are now."""
    return (tools / "clocks").read_text().strip()


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C."""
    process.send_signal(signal.SIGINT)


@pytest.mark.parametrize(("then", "said"), [("", ""), ("fail", "ValueError: \n")])
def test_a_gpu_is_locked_at_its_highest_clock_and_free_afterwards(
    tools: Path, driver: Path, then: str, said: str
) -> None:
    add_nvidia_smi(tools)

    assert output_of(LOCKING, tools, "/", then, library=driver) == f"0000:01:00.0 at 1980,1980\n{said}"
    assert clocks_of(tools) == "free"


@pytest.mark.parametrize(("then", "said"), [("", ""), ("fail", "ValueError: \n")])
def test_a_jetson_is_locked_and_afterwards_as_it_was(tools: Path, jetson: Path, then: str, said: str) -> None:
    add_jetson_clocks(tools)

    assert output_of(LOCKING, tools, jetson, then) == f"highest\n{said}"
    assert clocks_of(tools) == "schedutil"
    assert list((tools.parent / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    ("said", "status", "came"),
    [
        (FORBIDDEN, 4, FORBIDDEN.splitlines()[0]),
        (UNSUPPORTED, 0, UNSUPPORTED.splitlines()[0]),
        ("", 255, "nothing"),
    ],
)
def test_a_gpu_that_may_not_be_locked_is_refused_and_left_alone(
    tools: Path, driver: Path, said: str, status: int, came: str
) -> None:
    add_nvidia_smi(tools, said=said, status=status)

    assert output_of(LOCKING, tools, "/", "", library=driver) == (
        f"BackendError: --lock-clocks: nvidia-smi says: {came}\n"
        f"  expected: a GPU whose clocks this user may lock\n  cure: {CURE}\n"
    )
    assert clocks_of(tools) == "free"
    assert not (tools / "restoring").exists()


def test_a_gpu_whose_highest_clock_is_not_told_is_refused(tools: Path, driver: Path) -> None:
    add_nvidia_smi(tools, answer="[N/A]")

    said = output_of(LOCKING, tools, "/", "", library=driver)
    assert said.startswith("BackendError: --lock-clocks: nvidia-smi does not tell this GPU's highest clock\n")
    assert clocks_of(tools) == "free"


def test_a_gpu_that_does_not_answer_is_refused_and_reset(tools: Path, driver: Path) -> None:
    add_nvidia_smi(tools, lock_s=60)

    said = output_of(LOCKING, tools, "/", "impatient", library=driver)
    assert said.startswith("BackendError: --lock-clocks: nvidia-smi says: nothing for 0.3 s\n")
    assert clocks_of(tools) == "free"


def test_without_nvidia_smi_a_gpu_is_refused(tools: Path, driver: Path) -> None:
    tools.mkdir()

    said = output_of(LOCKING, tools, "/", "", library=driver)
    assert said.startswith("BackendError: --lock-clocks: no nvidia-smi here\n")


def test_a_gpu_that_is_not_there_is_refused(tools: Path) -> None:
    add_nvidia_smi(tools)

    with pytest.raises(BackendError, match="no GPU number 99"), locked_clocks(99):
        pass


def test_a_run_on_the_cpu_has_no_clock_to_lock(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error, locked_clocks(None, root=tmp_path):
        pass

    assert str(error.value) == (
        "--lock-clocks: a run on the CPU: there is no GPU clock to lock\n"
        "  expected: a run on a GPU\n  cure: leave --lock-clocks out"
    )


def test_a_jetson_whose_user_may_not_is_refused_and_left_alone(tools: Path, jetson: Path) -> None:
    add_jetson_clocks(tools, root=False)

    with pytest.raises(BackendError) as error, locked_clocks(0, root=jetson):
        pass

    assert str(error.value) == (
        f"--lock-clocks: jetson_clocks says: Error: Run this script({tools}/jetson_clocks) as a root user\n"
        f"  expected: a GPU whose clocks this user may lock\n  cure: {CURE}"
    )
    assert clocks_of(tools) == "schedutil"
    assert not (tools / "locking").exists()
    assert list((tools.parent / "temporary").iterdir()) == []


def test_a_jetson_that_is_locked_half_way_is_refused_and_restored(tools: Path, jetson: Path) -> None:
    add_jetson_clocks(tools, said="Error: Failed to max GPU frequency!")

    with pytest.raises(BackendError, match="Failed to max GPU frequency!"), locked_clocks(0, root=jetson):
        pass

    assert (tools / "locking").exists()
    assert clocks_of(tools) == "schedutil"


@pytest.mark.usefixtures("tools")
def test_without_jetson_clocks_a_jetson_is_refused(jetson: Path) -> None:
    with pytest.raises(BackendError, match="no jetson_clocks here"), locked_clocks(0, root=jetson):
        pass


def test_clocks_that_stay_locked_are_said_with_the_command_that_frees_them(
    tools: Path, jetson: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_jetson_clocks(tools)
    with locked_clocks(0, root=jetson):
        add_tool(tools, "jetson_clocks", "echo Error: out of order; exit 1")

    (stored,) = (tools.parent / "temporary").glob("*/before.conf")
    assert stored.read_text() == "schedutil\n"
    assert caplog.messages == [
        "--lock-clocks: the clocks stay locked, jetson_clocks says: Error: out of order; "
        f"run `sudo {tools}/jetson_clocks --restore {stored}`"
    ]


@pytest.fixture(params=["gpu", "jetson"])
def machine(request: pytest.FixtureRequest, tools: Path, tmp_path: Path) -> tuple[str, Path]:
    """The clocks before, and the root of the file system. Restoring them takes longer than Python waits for a child."""
    if request.param == "gpu":
        add_nvidia_smi(tools, restore_s=0.3)
        return "free", Path("/")
    add_jetson_clocks(tools, restore_s=0.3)
    return "schedutil", write_jetson(tmp_path / "jetson")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("impatient", [False, True], ids=["once", "twice"])
def test_ctrl_c_restores_the_clocks(tools: Path, driver: Path, machine: tuple[str, Path], impatient: bool) -> None:
    before, root = machine
    with start_python(LOCKING, tools, root, "stay", library=driver) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert clocks_of(tools) != before
        interrupt(process)
        if impatient:
            wait_until((tools / "restoring").exists)
            interrupt(process)
        said, _ = process.communicate(timeout=30)

    assert said == "interrupted\n"
    assert clocks_of(tools) == before


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_while_the_gpu_is_being_locked_frees_it(tools: Path, driver: Path) -> None:
    add_nvidia_smi(tools, lock_s=60)
    with start_python(LOCKING, tools, "/", "", library=driver) as process:
        wait_until((tools / "locking").exists)
        interrupt(process)
        said, _ = process.communicate(timeout=30)

    assert said == "interrupted\n"
    assert clocks_of(tools) == "free"
