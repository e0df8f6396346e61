"""Real exports that several test files look at: beside ``tiny_model`` the other dtype, the other family, a batch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.in_process import Answer, run_briges
from support.weight_server import WeightServer

from briges.export import download
from briges.export.assemble import assemble
from briges.export.exporter import ExportRequest, export_model
from briges.export.presets import find_preset
from briges.export.to_onnx import ContractModel
from briges.runtime.sidecar import ModelSpec, read_model


@dataclass(frozen=True)
class Export:
    """A model folder, its sidecar, and what the command that wrote it said."""

    folder: Path
    spec: ModelSpec
    answer: Answer


@pytest.fixture(scope="session")
def dynamic_export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """briges-tiny at 112x140, float32, temperature as an input, without the check. Do not write into it."""
    folder = tmp_path_factory.mktemp("dynamic") / "model"
    options = "--random-weights 7 --height 112 --width 140 --input float32 --temperature dynamic --no-verify"
    answer = run_briges("export", "briges-tiny", *options.split(), "--precision", "fp32", "--out", folder)
    assert answer.code == 0, answer.err
    return Export(folder, read_model(folder), answer)


@pytest.fixture(scope="session")
def dynamic_network() -> ContractModel:
    """The network inside ``dynamic_export``."""
    made = assemble(find_preset("briges-tiny"), 7, height_px=112, width_px=140, temperature="dynamic")
    return ContractModel(made.model).eval()


@pytest.fixture(scope="session")
def ungated_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """depth-anything-v2-s at 98x126, batch 2, exported and checked. Do not write into it."""
    folder = tmp_path_factory.mktemp("ungated") / "model"
    export_model(ExportRequest("depth-anything-v2-s", 3, ((98, 126),), batch=2), folder, print)
    return folder


@pytest.fixture(scope="session")
def bfloat_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``typed_tiny``, in bf16. Do not write into it."""
    folder = tmp_path_factory.mktemp("bfloat") / "model"
    export_model(ExportRequest("briges-tiny", 7, precision="bf16"), folder, lambda step: None)
    return folder


@pytest.fixture
def impatient_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between tries, no proxy, and small chunks, so that cuts can be placed."""
    monkeypatch.setattr(download, "_WAITS_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(download, "_CHUNK_BYTES", 1000)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server() -> Iterator[WeightServer]:
    """A server on a free port of this machine."""
    with WeightServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
