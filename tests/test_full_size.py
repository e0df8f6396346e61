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
from support.oracle import consult

from briges.export.assemble import assemble
from briges.export.presets import find_preset
from briges.runtime.manifest import read_manifest

ROOT = Path(__file__).resolve().parent.parent
BRIGES = Path(sys.executable).parent / "briges"
PHOTOGRAPH = ROOT / "runtime" / "photographs" / "coffee.jpg"
GIB = 1 << 30

pytestmark = pytest.mark.slow


def _briges(*arguments: str | Path) -> tuple[str, float, int]:
    """Output, seconds and the largest resident set of the command in bytes."""
    return _measured([BRIGES, *arguments], None)


def _measured(command: list[str | Path], cwd: Path | None) -> tuple[str, float, int]:
    # The kernel's own count of the largest resident set, of the command or of any process it waited for.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=cwd, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        told, peak_bytes = out.read(), usage.ru_maxrss * 1024
        print(f"{Path(command[0]).name} {command[1]}: {seconds:.0f} s, peak {peak_bytes / GIB:.2f} GiB\n{told}")
        assert process.returncode == 0, err.read()
    return told, seconds, peak_bytes


def _make_engine(out: Path, *variables: str) -> tuple[float, int]:
    """Seconds and largest resident set in bytes of `make engine` and everything it starts."""
    command = ["make", "engine", f"OUT={out}", f"VENV={BRIGES.parent.parent}", *variables]
    return _measured(command, ROOT)[1:]


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, int]:
    """The exported briges-v2-b at 518x518 in fp32, how long it took and its peak memory."""
    folder = tmp_path_factory.mktemp("v2-b") / "model"
    options = ("--random-weights", "0", "--precision", "fp32")
    _, seconds, peak_bytes = _briges("export", "briges-v2-b", *options, "--out", folder)
    return folder, seconds, peak_bytes


@pytest.fixture(scope="module")
def base_bundle(base_model: tuple[Path, float, int]) -> Path:
    """Its engine bundle for ONNX Runtime."""
    folder = base_model[0].parent / "engine"
    _briges("build", base_model[0], "--out", folder, "--flavour", "onnxruntime")
    return folder


@pytest.fixture(scope="module")
def base_engine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, int]:
    """What `make engine` makes of briges-v2-b in fp16 for TensorRT-RTX, how long it took and its peak memory."""
    folder = tmp_path_factory.mktemp("v2-b-half")
    seconds, peak_bytes = _make_engine(folder, "PRESET=briges-v2-b", "FLAVOUR=tensorrt-rtx")
    return folder, seconds, peak_bytes


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


def test_the_base_engine_is_made_and_checked_within_six_minutes_and_nine_gib(
    base_engine: tuple[Path, float, int],
) -> None:
    folder, seconds, peak_bytes = base_engine
    assert seconds <= 360
    assert peak_bytes <= 9 * GIB
    manifest = read_manifest(folder / "engine")
    assert manifest.gate is not None
    assert manifest.gate.passed
    checked = {row.subject for row in manifest.gate.rows if row.agreement is not None}
    assert "onnx" in checked


def test_the_base_engine_has_the_plugin_and_takes_85_megabytes_of_activations(
    base_engine: tuple[Path, float, int],
) -> None:
    manifest = read_manifest(base_engine[0] / "engine")
    (engine,) = manifest.engines
    assert manifest.attention.lowering == "plugin"
    assert engine.plugin_layers == engine.layers["PLUGIN_V3"] == 12 + 12 + 4 * 2  # both encoders, cross and self
    assert engine.activation_bytes is not None
    assert engine.activation_bytes <= 85e6
    assert engine.build_s is not None
    assert engine.build_s <= 30
    assert manifest.files[engine.file].size_bytes <= 505e6


def test_native_attention_takes_125_megabytes_of_activations_and_plain_well_over_three_times_that(
    base_engine: tuple[Path, float, int], tmp_path: Path
) -> None:
    options = ("--flavour", "tensorrt-rtx", "--attention", "compare")
    told, _, _ = _briges("build", base_engine[0] / "model", "--out", tmp_path / "forms", *options)
    engines = {form: read_manifest(tmp_path / "forms" / form).engines[0] for form in ("plain", "native", "plugin")}
    plain, native, plugin = (engine.activation_bytes or 0 for engine in engines.values())
    assert 0 < plugin <= 85e6 < native <= 125e6
    assert plain >= 3.5 * native
    assert max(engine.build_s or 0 for engine in engines.values()) <= 30
    assert f"take {tmp_path / 'forms' / 'plugin'} (plugin)" in told


def test_the_base_model_in_fp16_is_within_twice_the_error_of_plain_half(base_engine: tuple[Path, float, int]) -> None:
    size = {"height_px": 518, "width_px": 518}
    made = assemble(find_preset("briges-v2-b"), 0, **size, temperature="1.0")
    consult(base_engine[0] / "model", made.model).check()


def test_the_large_model_exports_within_twenty_gib_and_builds(tmp_path: Path) -> None:
    _, _, peak_bytes = _briges("export", "briges-v2-l", "--random-weights", "0", "--out", tmp_path / "model")
    assert peak_bytes <= 20 * GIB
    _briges("build", tmp_path / "model", "--out", tmp_path / "engine", "--flavour", "tensorrt-rtx")
    manifest = read_manifest(tmp_path / "engine")
    assert manifest.gate is not None
    assert manifest.gate.passed
