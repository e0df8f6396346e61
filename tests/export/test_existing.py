"""Which exports are recognised as done: those that would come out the same, and no other."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.in_process import run_briges
from support.manifests import edit_json

from briges.export.checkpoints import WeightFiles
from briges.export.existing import existing_model
from briges.export.exporter import ExportRequest
from briges.runtime.errors import UnknownNameError, UsageError
from briges.runtime.files import sha256_of
from briges.runtime.sidecar import read_model

TINY = ExportRequest("briges-tiny", 7)  # as of the fixture tiny_model


def test_the_very_same_request_is_recognised(tiny_model):
    assert existing_model(TINY, tiny_model) == read_model(tiny_model)
    spelled_out = dataclasses.replace(TINY, sizes=((126, 126),), taps=(0, 1, 2, 3), temperature="cross=1,self=1.0")
    assert existing_model(spelled_out, tiny_model) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"preset": "depth-anything-v2-s"},
        {"source": 8},
        {"sizes": ((126, 140),)},
        {"sizes": ((126, 126), (126, 140))},
        {"batch": 2},
        {"input_dtype": "float32"},
        {"temperature": "3.0"},
        {"temperature": "dynamic"},
        {"temperature": "cross=1,self=2"},
        {"precision": "fp16"},
        {"attention": "plain"},
        {"verify": False},
    ],
    ids=lambda changes: "-".join(map(str, *changes.items())),
)
def test_a_request_for_anything_else_is_not(tiny_model, changes):
    assert existing_model(dataclasses.replace(TINY, **changes), tiny_model) is None


def test_sizes_are_compared_in_their_order(sized_tiny):
    request = ExportRequest("briges-tiny", 7, ((126, 126), (126, 168)), temperature="dynamic", verify=False)
    assert existing_model(request, sized_tiny) is not None
    for sizes in (((126, 168), (126, 126)), ((126, 126),), ((126, 168),)):
        assert existing_model(dataclasses.replace(request, sizes=sizes), sized_tiny) is None


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_model, tmp_path / "model")
    return tmp_path / "model"


def edit(copy: Path, **changes: Any) -> None:
    document = json.loads((copy / "model.json").read_text())
    edit_json(copy / "model.json", **{name: document[name] | value for name, value in changes.items()})


def test_an_export_of_another_release_is_made_again(copy):
    edit(copy, versions={"torch": "2.8.0"})
    assert existing_model(TINY, copy) is None


def test_a_damaged_or_missing_export_is_made_again(copy, tmp_path):
    (copy / "model.onnx.data").write_bytes(b"")
    assert existing_model(TINY, copy) is None
    assert existing_model(TINY, tmp_path / "nowhere") is None
    (copy / "model.json").write_text("{")
    assert existing_model(TINY, copy) is None


def test_a_request_that_cannot_be_is_refused_all_the_same(tiny_model):
    with pytest.raises(UnknownNameError):
        existing_model(dataclasses.replace(TINY, preset="briges-tini"), tiny_model)
    with pytest.raises(UsageError):
        existing_model(dataclasses.replace(TINY, temperature="hot"), tiny_model)


def test_weight_files_are_told_by_their_content_and_not_by_their_name(copy, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(b"weights")
    source = {"role": "checkpoint", "name": "a.pth", "sha256": sha256_of(path), "known_as": None}
    edit(copy, weights={"files": [source], "random_seed": None})
    request = dataclasses.replace(TINY, source=WeightFiles(path))
    assert existing_model(request, copy) is not None
    assert existing_model(TINY, copy) is None
    path.rename(tmp_path / "b.pth")
    assert existing_model(request, copy) is None  # a.pth is gone: the export will say so
    renamed = dataclasses.replace(request, source=WeightFiles(tmp_path / "b.pth"))
    assert existing_model(renamed, copy) is not None
    more = dataclasses.replace(request, source=WeightFiles(tmp_path / "b.pth", depth_weights=copy / "model.onnx"))
    assert existing_model(more, copy) is None
    (tmp_path / "b.pth").write_bytes(b"Weights")
    assert existing_model(renamed, copy) is None


def test_the_command_says_up_to_date_and_force_exports_again(copy):
    # Which shows in what it refuses to replace.
    (copy / "notes.txt").write_text("mine")
    command = ("export", "briges-tiny", "--random-weights", "7", "--precision", "fp32", "--out", copy)
    answer = run_briges(*command)
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{copy}: up to date\n{copy}: briges-tiny, 126x126, fp32")
    assert "WARNING: RANDOM WEIGHTS" in answer.err
    answer = run_briges(*command, "--force")
    assert (answer.code, answer.out) == (1, "")
    assert "holds other files than this tool wrote, such as notes.txt" in answer.err
