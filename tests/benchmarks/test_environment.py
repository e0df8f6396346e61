"""What is recorded of this machine, of a Jetson whose files were written down, and of a GPU that stand-ins tell of."""

from __future__ import annotations

import getpass
import os
import platform
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from support.device_tools import (
    add_nvidia_smi,
    add_tool,
    compile_gpu_driver,
    output_of,
    put_on_path,
    write_jetson,
    write_tree,
)

from briges.benchmarks.environment import read_commit, read_environment

CHECKOUT = Path(__file__).resolve().parents[2]
ON_A_GPU = """
import sys
from briges.benchmarks.environment import read_environment

found = read_environment("GPU number 1", ["numpy"], index=1, tensorrt="10.16.2.10", locked="locked" in sys.argv)
fields = ("device", "compute_capability", "driver", "cuda", "tensorrt", "power_mode")
print(*(getattr(found, field) for field in fields), found.clocks.partition("; ")[0], sep=", ")
"""
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody."""
    identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one commit of one file."""
    folder = tmp_path / "repository"
    write_tree(folder, {"inner/file": "as it was\n"})
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "First")
    return folder


def test_a_run_on_the_cpu_says_nothing_of_a_gpu() -> None:
    found = read_environment(None, ["numpy", "not-installed-anywhere"], temperatures_c=[41.0, 55.5])

    assert (found.device, found.compute_capability, found.driver, found.cuda, found.tensorrt) == (None,) * 5
    assert found.versions == {"python": platform.python_version(), "numpy": metadata.version("numpy")}
    assert found.temperature_c == (41.0, 55.5)
    assert found.tool_version == metadata.version("briges-trt")
    assert found.system == f"{platform.system()} {platform.release()} {platform.machine()}"
    assert found.cpu
    assert "GPU" not in (found.clocks or "")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own figures")
def test_cores_and_memory_are_those_of_this_process() -> None:
    found = read_environment(None, [])

    assert found.cores == len(os.sched_getaffinity(0))
    assert f"MemTotal: {(found.memory_bytes or 0) // 1024} kB" in " ".join(Path("/proc/meminfo").read_text().split())


def test_neither_host_nor_user_nor_folder_is_named() -> None:
    text = repr(read_environment(None, ["numpy", "onnx", "onnxruntime"]))

    for name in (platform.node(), getpass.getuser()):
        assert not re.search(rf"\b{re.escape(name)}\b", text)
    for folder in (str(Path.home()), str(Path.cwd()), str(CHECKOUT)):
        assert folder not in text


def test_a_jetson_tells_its_model_mode_and_clocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tool(tmp_path / "tools", "nvpmodel", 'test "$1" = -q && printf "NV Power Mode: MAXN\\n0\\n"')
    put_on_path(tmp_path / "tools", monkeypatch)
    found = read_environment("Orin", [], root=write_jetson(tmp_path / "jetson"))

    assert found.device == "Orin"
    assert found.jetson == "NVIDIA Jetson AGX Orin Developer Kit, Jetson Linux 36.4.3"
    assert found.power_mode == "MAXN"
    assert found.clocks == "GPU 1300 MHz of 1300 at most, locked; CPU 2202 MHz, not locked"
    assert (found.driver, found.governor, found.memory_bytes) == ("540.4.0", "schedutil", 64309436 * 1024)
    assert found.cpu == "ARMv8 Processor rev 1 (v8l)"


@pytest.mark.parametrize("locked", ["locked", "not locked"])
def test_a_gpu_tells_its_driver_clocks_and_power_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    add_nvidia_smi(tmp_path / "tools", answer="580.65.06, 1980, 1980, 2619, 700.00")
    put_on_path(tmp_path / "tools", monkeypatch)

    said = output_of(ON_A_GPU, locked, library=compile_gpu_driver(tmp_path / "driver"))
    assert said == (
        "GPU number 1, 12.0, 580.65.06, 12.6, 10.16.2.10, power limit 700 W, "
        f"GPU 1980 MHz of 1980 at most, memory 2619 MHz, {locked}\n"
    )


def test_a_gpu_whose_tool_fails_is_recorded_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_tool(tmp_path / "tools", "nvidia-smi", "echo Failed to initialize NVML; exit 255")
    put_on_path(tmp_path / "tools", monkeypatch)

    said = output_of(ON_A_GPU, library=compile_gpu_driver(tmp_path / "driver"))
    assert said.startswith("GPU number 1, 12.0, ")
    assert "12.6, 10.16.2.10, None, " in said


def test_a_machine_that_tells_nothing_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = read_environment("GPU", [], index=99, root=tmp_path)

    assert found.device == "GPU"
    told = (found.compute_capability, found.driver, found.governor, found.memory_bytes, found.clocks, found.commit)
    assert told == (None,) * 6


@needs_git
@pytest.mark.skipif(not (CHECKOUT / ".git").exists(), reason="no checkout")
def test_the_commit_is_that_of_this_checkout() -> None:
    found = read_environment(None, []).commit

    assert found is not None
    assert found.removesuffix("-dirty") == git(CHECKOUT, "rev-parse", "--short=12", "HEAD")


@needs_git
def test_changed_files_are_said(repository: Path) -> None:
    commit = git(repository, "rev-parse", "--short=12", "HEAD")
    git(repository, "tag", "-a", "v1", "-m", "A tag does not stand for it")

    assert read_commit(repository) == commit
    (repository / "inner/file").write_text("changed\n")
    assert read_commit(repository) == f"{commit}-dirty"


@needs_git
def test_packages_in_somebody_elses_repository_have_no_commit(repository: Path, tmp_path: Path) -> None:
    assert read_commit(repository / "inner") is None
    assert read_commit(tmp_path) is None
    assert read_commit(tmp_path / "nowhere") is None


@needs_git
def test_a_hook_of_another_repository_does_not_mislead(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))

    commit = read_commit(repository)
    assert commit is not None
    assert re.fullmatch(r"[0-9a-f]{12}", commit)


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert read_commit(CHECKOUT) is None
