"""The comparison with eager PyTorch, on the tiny bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.manifests import GOOD, edit_json, manifest

from briges.benchmarks.eager import EagerComparison, compare_with_eager
from briges.export.checkpoints import WeightFiles
from briges.runtime.errors import BackendError, UsageError
from briges.runtime.main import main


def test_the_ratio_is_of_medians() -> None:
    result = EagerComparison(
        onnxruntime_ms=(10.0, 12.0, 99.0),
        eager_ms=(36.0, 30.0, 500.0),
        agreement=GOOD,
        manifest=manifest("onnxruntime", "1.31.0"),
        conditions="",
    )
    assert result.ratio == 3.0


def test_both_sides_are_timed_after_their_outputs_agreed(tiny_bundle: Path) -> None:
    steps: list[str] = []
    result = compare_with_eager(tiny_bundle, None, runs=2, on_step=steps.append)
    assert len(result.onnxruntime_ms) == len(result.eager_ms) == 2
    assert min(result.onnxruntime_ms + result.eager_ms) > 0
    assert result.agreement.max_relative_error is not None
    assert 0 < result.agreement.max_relative_error <= 1e-4
    assert steps[-1] == "timing run 2 of 2"


def test_other_weights_than_the_bundles_are_refused_before_anything_is_timed(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "engine"
    shutil.copytree(tiny_bundle, bundle)
    model = json.loads((bundle / "manifest.json").read_text())["model"]
    model["weights"]["random_seed"] += 1
    edit_json(bundle / "manifest.json", model=model)
    with pytest.raises(BackendError, match="differs from eager PyTorch: max_relative_error"):
        compare_with_eager(bundle, None, runs=1, on_step=lambda step: None)


def test_a_checkpoint_for_a_bundle_of_random_weights_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(UsageError, match="given for a bundle of random weights"):
        compare_with_eager(tiny_bundle, WeightFiles(Path("x.pth")), runs=1, on_step=lambda step: None)


def test_the_command_prints_medians_and_the_ratio(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "eager", str(tiny_bundle), "--runs", "1"])
    out = capsys.readouterr().out
    assert stop.value.code == 0
    assert "ONNX Runtime  median" in out
    assert "PyTorch eager median" in out
    assert "ratio" in out
