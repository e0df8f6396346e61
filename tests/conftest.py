"""What every test may use: a real bundle of the tiny preset, and the optional folder of real data."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# Triton asks when anybody first imports it, as torch's counter of FLOPs does: kernels are interpreted in these tests.
os.environ["TRITON_INTERPRET"] = "1"
from support.building import SILENT, build_for_onnxruntime

from briges.engines.plugin.build_library import ready_plugin
from briges.engines.plugin.record import DEFAULT_FOLDER
from briges.export.exporter import ExportRequest, export_model

TINY_SEED = 7

# A time limit per example fails on a busy machine, and says nothing about the code.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: briges-tiny with random weights, exported and checked for real. Do not write into it."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    export_model(ExportRequest("briges-tiny", TINY_SEED), folder, lambda step: None)
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tiny_model: Path) -> Path:
    """The engine bundle of ``tiny_model``. Do not write into it."""
    folder = tiny_model.parent / "engine"
    build_for_onnxruntime(tiny_model, folder)
    return folder


@pytest.fixture(scope="session")
def typed_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: briges-tiny in fp16 with the weights of ``tiny_model``, checked. Do not write into it."""
    folder = tmp_path_factory.mktemp("typed") / "model"
    export_model(ExportRequest("briges-tiny", TINY_SEED, precision="fp16"), folder, lambda step: None)
    return folder


@pytest.fixture(scope="session")
def plain_typed_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``typed_tiny``, its attention in the literal form. Do not write into it."""
    folder = tmp_path_factory.mktemp("plain") / "model"
    export_model(
        ExportRequest("briges-tiny", TINY_SEED, precision="fp16", attention="plain"), folder, lambda step: None
    )
    return folder


@pytest.fixture(scope="session")
def native_typed_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As ``typed_tiny``, its attention in the form that TensorRT fuses by itself. Do not write into it."""
    folder = tmp_path_factory.mktemp("native") / "model"
    export_model(
        ExportRequest("briges-tiny", TINY_SEED, precision="fp16", attention="native"), folder, lambda step: None
    )
    return folder


@pytest.fixture(scope="session")
def plugin_folder() -> Path:
    """The plugin with every kernel, where `make plugin` puts it; built if it is not there. Do not write into it."""
    folder = Path(__file__).resolve().parent.parent / DEFAULT_FOLDER
    ready_plugin(folder, SILENT)
    return folder


@pytest.fixture(scope="session")
def sized_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: briges-tiny in fp32 at two sizes, the temperature an input, unverified. Do not write into it."""
    folder = tmp_path_factory.mktemp("sized") / "model"
    request = ExportRequest("briges-tiny", TINY_SEED, ((126, 126), (126, 168)), temperature="dynamic", verify=False)
    export_model(request, folder, lambda step: None)
    return folder


@pytest.fixture(scope="session")
def split_tiny(sized_tiny: Path) -> Path:
    """The bundle of ``sized_tiny`` in three parts. Do not write into it."""
    folder = sized_tiny.parent / "split"
    build_for_onnxruntime(sized_tiny, folder, split=True)
    return folder


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real weights and photographs that BRIGES_TEST_DATA names; skips where there is none."""
    folder = os.environ.get("BRIGES_TEST_DATA")
    if not folder:
        pytest.skip("BRIGES_TEST_DATA is not set: no real weights and photographs here")
    return Path(folder)
