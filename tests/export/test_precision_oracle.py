"""The oracle on the tiny preset: a typed model may be off by twice what plain half PyTorch is off by."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.manifests import GOOD
from support.oracle import Verdict, consult

from briges.export.assemble import assemble
from briges.export.exporter import ExportRequest, export_model
from briges.export.presets import find_preset
from briges.runtime.agreement import Agreement


@pytest.fixture(scope="session")
def plain_bfloat_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain-bfloat") / "model"
    export_model(ExportRequest("briges-tiny", 7, precision="bf16", attention="plain"), folder, lambda step: None)
    return folder


def judge(folder: Path) -> Verdict:
    size = {"height_px": 126, "width_px": 126}
    made = assemble(find_preset("briges-tiny"), 7, **size, temperature="1.0")
    return consult(folder, made.model)


# Measured, relative L2 of the typed graph and of plain half: fp16 7e-4 and 7e-4, bf16 4e-3 and 4e-3.
@pytest.mark.parametrize(
    "model",
    ["typed_tiny", "native_typed_tiny", "plain_typed_tiny", "bfloat_tiny", "plain_bfloat_tiny"],
    ids=["fp16-plugin", "fp16-native", "fp16-plain", "bf16-plugin", "bf16-plain"],
)
def test_the_typed_model_is_within_twice_the_error_of_plain_half(request, model):
    verdict = judge(request.getfixturevalue(model))
    assert verdict.plain.relative_l2 is not None
    assert verdict.plain.relative_l2 > 1e-4  # half was really computed: fp32 is off by 5e-7
    verdict.check()


def test_the_oracle_says_no_to_a_model_of_three_times_the_error():
    verdict = Verdict(_error(3e-3), _error(1e-3))
    assert verdict.headroom()["relative_l2"] == pytest.approx(2 / 3)
    with pytest.raises(AssertionError):
        verdict.check()
    Verdict(_error(2e-3), _error(1e-3)).check()


def _error(value: float) -> Agreement:
    return dataclasses.replace(GOOD, max_relative_error=value, relative_l2=value, aligned_deviation=value)
