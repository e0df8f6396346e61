"""Where the log, the timing cache and the evidence may lie: never over, or among, what somebody else put there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.stub_bundle import write_stub_model

from briges.engines.evidence import write_evidence
from briges.engines.gate import verdict
from briges.engines.request import BuildRequest, check_request
from briges.engines.spec import EngineSpec
from briges.engines.trt_log import is_log
from briges.runtime.errors import UsageError
from briges.runtime.sidecar import read_model

REQUEST = BuildRequest(EngineSpec("tensorrt"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_stub_model(tmp_path / "model")


def refused(model: Path, **changes: object) -> UsageError:
    """Why a build into the folder ``engine`` beside ``model`` is refused; ``timing_cache`` is an option of the spec."""
    cache = changes.pop("timing_cache", None)
    spec = dataclasses.replace(REQUEST.spec, timing_cache=None if cache is None else str(cache))
    request = dataclasses.replace(REQUEST, spec=spec, **changes)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        check_request(model, read_model(model), model.parent / "engine", request)
    return caught.value


@pytest.mark.parametrize("option", ["log_file", "timing_cache"])
@pytest.mark.parametrize("place", ["model/kept", "engine/kept", "model"])
def test_neither_log_nor_timing_cache_lies_among_listed_files_or_is_a_folder(model, option, place):
    error = refused(model, **{option: model.parent / place})
    assert error.subject.startswith(f"--{option.replace('_', '-')} ")
    assert error.came.startswith("is a folder" if place == "model" else "lies in ")


def test_a_folder_in_the_place_of_the_usual_log_is_told_before_any_work(model):
    (model.parent / "engine.log").mkdir()
    assert refused(model).came == "is a folder"


def test_a_log_is_written_over_logs_alone(model):
    thesis = model.parent / "thesis.tex"
    thesis.write_text("years of work")
    assert refused(model, log_file=thesis).came == "holds something that is no log of a build"
    assert thesis.read_text() == "years of work"


@pytest.mark.parametrize(("content", "expected"), [("", True), ("2026-01-01 12:00:00.000 INFO x", True), ("x", False)])
def test_a_log_is_known_by_its_first_line(tmp_path, content, expected):
    (tmp_path / "log").write_text(content)
    assert is_log(tmp_path / "log") is expected


def test_what_is_no_file_yet_and_devices_may_become_logs(tmp_path):
    assert is_log(tmp_path / "new")
    assert is_log(Path("/dev/null"))


def test_log_and_timing_cache_are_two_files(model):
    both = model.parent / "both"
    assert refused(model, log_file=both, timing_cache=both).came == "is the file of the log too"


def test_a_timing_cache_without_a_folder_is_told_before_any_work(model):
    assert refused(model, timing_cache=model.parent / "none" / "cache").came == "its folder does not exist"


def test_pictures_of_somebody_in_the_evidence_folder_stay(tmp_path):
    from support.manifests import GOOD

    from briges.engines.gate import Check
    from briges.runtime.manifest import GateRow

    depth = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    check = Check(GateRow("onnx", "3x4", GOOD, None), (depth,), (depth,))
    (tmp_path / "onnx-mine.png").write_bytes(b"mine")
    write_evidence(tmp_path, verdict("fp16", [check]), [check])
    assert (tmp_path / "onnx-mine.png").read_bytes() == b"mine"
