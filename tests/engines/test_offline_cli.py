from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.in_process import run_briges
from support.media import briges_process
from support.stub_bundle import build_stub_bundle

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder is the repository's root."""
    monkeypatch.chdir(ROOT)


def refusal(*arguments: str | Path, code: int) -> str:
    """What `briges bundle-offline` says as it refuses."""
    answer = run_briges("bundle-offline", *arguments)
    assert answer.code == code, answer.err
    return answer.err


@pytest.mark.usefixtures("in_checkout")
def test_an_unknown_target_suggests_the_nearest(tmp_path: Path) -> None:
    said = refusal("--target", "jetson-jp5", "--out", tmp_path / "out", code=2)
    assert "Error: --target: 'jetson-jp5'" in said
    assert "expected: one of jetson-jp6, jetson-jp7, linux-x86_64" in said
    assert "cure: did you mean 'jetson-jp" in said


def test_elsewhere_than_in_a_checkout_it_says_where_to_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = refusal("--target", "jetson-jp6", "--out", tmp_path / "out", code=2)
    assert f"folder {tmp_path}: it is not a source checkout of briges-trt" in said
    assert "cure: git clone the project and run this in its root" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("in_checkout")
def test_a_folder_that_is_not_ours_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    said = refusal("--target", "jetson-jp6", "--out", tmp_path, code=1)
    assert "exists and was not made by this tool" in said
    assert "building" not in said


@pytest.mark.usefixtures("in_checkout")
def test_a_damaged_model_is_not_packed(tmp_path: Path) -> None:
    model = build_stub_bundle(tmp_path / "stub").parent / "model"
    (model / "model.onnx").write_bytes(b"damaged")
    said = refusal("--target", "jetson-jp6", "--out", tmp_path / "out", "--include", model, code=1)
    assert "model.onnx has sha256" in said
    assert "building" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stub"]


@pytest.mark.usefixtures("in_checkout")
def test_a_folder_that_holds_no_model_is_told(tmp_path: Path) -> None:
    said = refusal("--target", "jetson-jp6", "--out", tmp_path / "out", "--include", tmp_path / "nothing", code=1)
    assert f"{tmp_path}/nothing" in said
    assert "cure:" in said


@pytest.mark.usefixtures("in_checkout")
def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    bundle = build_stub_bundle(tmp_path / "one" / "stub")
    other = tmp_path / "two" / "stub" / "engine"
    shutil.copytree(bundle, other)
    said = refusal("--target", "jetson-jp6", "--out", tmp_path / "out", "--include", bundle, "--include", other, code=2)
    assert f"--include {other}: another folder is called stub-engine too" in said


@pytest.mark.usefixtures("in_checkout")
def test_without_an_index_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    said = refusal("--target", "jetson-jp6", "--out", tmp_path / "out", code=1)
    assert "Error: the project's wheel: ERROR: Cannot install setuptools" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_half_and_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: signal.Signals
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.chdir(ROOT)
    with briges_process("bundle-offline", "--target", "jetson-jp6", "--out", tmp_path / "out") as child:
        assert child.stderr is not None
        while not child.stderr.readline().startswith("building the project's wheel"):
            pass
        while not any((tmp_path / "temporary").glob("briges-*/*")):  # until `python -m build` has begun
            time.sleep(0.01)
        child.send_signal(ending)
        said = child.stderr.read()
    assert child.returncode == 1
    assert "Interrupted: what was finished is kept, nothing is left half-written." in said
    assert list(tmp_path.rglob("*")) == [tmp_path / "temporary"]
    assert not [line for line in processes() if str(tmp_path) in line]


def processes() -> list[str]:
    """The command lines of everything that runs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may have ended meanwhile
            found.append(path.read_text(errors="replace"))
    return found


def test_make_passes_each_folder_on() -> None:
    command = ["make", "--dry-run", "bundle-offline", "INCLUDE=a b", f"VENV={Path(sys.executable).parent.parent}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert '--target "$TARGET" --out "$OUT" --include "a" --include "b"' in done.stdout
