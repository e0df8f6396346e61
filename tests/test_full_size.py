"""The full-size promises: minutes and gigabytes each, so only `make test-full` runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BRIGES = Path(sys.executable).parent / "briges"
PHOTOGRAPH = ROOT / "runtime" / "photographs" / "coffee.jpg"
GIB = 1 << 30

pytestmark = pytest.mark.slow


def _briges(*arguments: str | Path) -> tuple[str, float, int]:
    """Output, seconds and the largest resident set of the command in bytes, as the kernel counted it."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.monotonic()
        process = subprocess.Popen([BRIGES, *arguments], stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        told, peak_bytes = out.read(), usage.ru_maxrss * 1024
        print(f"briges {arguments[0]}: {seconds:.0f} s, peak {peak_bytes / GIB:.2f} GiB\n{told}")
        assert process.returncode == 0, err.read()
    return told, seconds, peak_bytes


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, int]:
    """The exported briges-v2-b at 518x518, how long it took and its peak memory."""
    folder = tmp_path_factory.mktemp("v2-b") / "model"
    _, seconds, peak_bytes = _briges("export", "briges-v2-b", "--random-weights", "0", "--out", folder)
    return folder, seconds, peak_bytes


@pytest.fixture(scope="module")
def base_bundle(base_model: tuple[Path, float, int]) -> Path:
    """Its engine bundle."""
    folder = base_model[0].parent / "engine"
    _briges("build", base_model[0], "--out", folder)
    return folder


def test_the_base_model_exports_and_checks_within_five_minutes_and_nine_gib(
    base_model: tuple[Path, float, int],
) -> None:
    _, seconds, peak_bytes = base_model
    assert seconds <= 300
    assert peak_bytes <= 9 * GIB


def test_the_base_bundle_estimates_depth(base_bundle: Path, tmp_path: Path) -> None:
    out, _, _ = _briges("infer", base_bundle, PHOTOGRAPH, "--out", tmp_path)
    assert "1 image" in out


def test_onnx_runtime_beats_eager_pytorch_by_half_on_the_base_model(base_bundle: Path) -> None:
    out, _, _ = _briges("bench", "eager", base_bundle, "--runs", "3")
    match = re.search(r"ratio ([\d.]+)", out)
    assert match
    assert float(match[1]) >= 1.5


def test_the_large_model_exports_within_twenty_gib(tmp_path: Path) -> None:
    _, _, peak_bytes = _briges("export", "briges-v2-l", "--random-weights", "0", "--out", tmp_path / "model")
    assert peak_bytes <= 20 * GIB
