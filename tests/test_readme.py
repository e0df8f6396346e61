"""The README does what it says: its commands and its Python run, its links and pictures exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.media import write_video

from briges.export.public_weights import PUBLIC_WEIGHTS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path, plugin_folder: Path) -> Path:
    """A folder as the README's reader has it after `make engine`, with the tiny preset in the big one's place."""
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(tiny_bundle, folder / "build" / "briges-v2-b" / "engine")
    shutil.copytree(tiny_bundle.parent / "model", folder / "build" / "briges-v2-b" / "model")
    shutil.copy(ROOT / "runtime" / "photographs" / "coffee.jpg", folder / "photo.jpg")
    # MJPEG in a file named .mp4: OpenCV goes by what is in it.
    write_video(folder / "street.avi", 5).rename(folder / "street.mp4")
    shutil.copytree(plugin_folder, folder / "build" / "plugin")
    return folder


def _run(command: list[str], cwd: Path, **variables: str) -> str:
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"} | variables
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_python_example_has_six_lines_and_runs(workplace: Path) -> None:
    blocks = _blocks("python")
    assert blocks
    first = [line for line in blocks[0].splitlines() if line.strip()]
    assert len(first) <= 6
    for block in blocks:
        _run([sys.executable, "-c", block], workplace)


def test_the_shell_examples_run(workplace: Path) -> None:
    commands = [line for block in _blocks("sh") for line in block.splitlines() if line.startswith("briges ")]
    assert len(commands) >= 3
    for command in commands:
        _run(["bash", "-ec", command], workplace)


def test_the_make_targets_named_exist() -> None:
    named = set(re.findall(r"(?:^\$ |`)make ([a-z-]+)", README, flags=re.M))
    assert {"engine", "test"} <= named
    for target in sorted(named):
        _run(["make", "--dry-run", "--no-print-directory", target], ROOT)


def test_make_engine_makes_a_working_bundle_and_is_idempotent(tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    command = ["make", "engine", "PRESET=briges-tiny", "FLAVOUR=onnxruntime", f"OUT={out}", f"VENV={BIN.parent}"]
    assert "up to date" not in _run(command, ROOT)
    again = _run(command, ROOT)
    assert f"{out}/model: up to date" in again
    assert f"{out}/engine: up to date" in again
    text = _run(
        ["briges", "infer", str(out / "engine"), "runtime/photographs/coffee.jpg", "--out", str(tmp_path / "d")], ROOT
    )
    assert "1 image" in text


def test_links_and_pictures_point_at_files() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", README)
    local = [name for pair in targets for name in pair if name and not name.startswith("http")]
    assert any(name.endswith((".jpg", ".png")) for name in local)
    for name in local:
        assert (ROOT / name).exists(), name


def test_weight_files_that_commands_name_are_ones_that_a_fetch_before_them_wrote() -> None:
    console = "\n".join(_blocks("console"))
    fetched = {
        f"{folder}/{PUBLIC_WEIGHTS[name].file_name}"
        for names, folder in re.findall(r"briges fetch (.+) --out (\S+)", console)
        for name in names.split()
    }
    named = set(re.findall(r"(?:CHECKPOINT|_WEIGHTS)=(weights/\S+)", console))
    assert named
    assert named <= fetched


def test_no_figure_is_missing() -> None:
    assert "FIGURES" not in README
    assert "TODO" not in README


def test_the_tables_of_results_are_what_the_committed_results_say() -> None:
    names = re.findall(r"^<!-- briges:results (\S+) -->$", README, flags=re.M)
    assert names
    for name in names:
        results = ROOT / "benchmarks" / "results" / f"{name}.jsonl"
        _run(["briges", "bench", "report", str(results), "--markdown", str(ROOT / "README.md"), "--check"], ROOT)
