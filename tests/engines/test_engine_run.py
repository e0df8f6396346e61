"""Running the engines of a bundle for the gate: those of ONNX Runtime everywhere, others where there is a GPU."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support import manifests
from support.toy_network import HEIGHT_PX, OVERFLOW, WIDTH_PX, write_toy

from briges.engines.engine_run import open_engines, why_not
from briges.engines.gate import check_engine, verdict
from briges.runtime import contracts
from briges.runtime.agreement import Precision
from briges.runtime.errors import BackendError
from briges.runtime.flavour import library_version
from briges.runtime.gpu import read_driver
from briges.runtime.manifest import BundleFile, Engine, Flavour, Manifest, Tensor
from briges.runtime.photographs import read_references


def toy_bundle(folder: Path, flavour: Flavour, precision: Precision = "fp16", **faults) -> Manifest:
    """A bundle whose engine is the toy network's ONNX file."""
    spec = write_toy(folder, precision, **faults)
    image = Tensor(contracts.IMAGE, "uint8", (1, HEIGHT_PX, WIDTH_PX, 3))
    depth = Tensor(contracts.DEPTH, "float32", (1, 1, HEIGHT_PX, WIDTH_PX))
    size = spec.graphs[0].size
    engine = Engine("model", size, contracts.MODEL_FILE, "0" * 64, (image,), (depth,), 1, None, {})
    return manifests.manifest(
        flavour,
        library_version(flavour) or "1.0",
        engines=(engine,),
        model=spec,
        files={contracts.MODEL_FILE: BundleFile("0" * 64, 1)},
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_bundle_for_onnx_runtime_is_checked_everywhere(tmp_path, precision):
    made = toy_bundle(tmp_path / "toy", "onnxruntime", precision)
    graph = made.model.graphs[0]
    assert why_not(made) is None
    with open_engines(tmp_path / "toy", made, graph) as run:
        references = read_references(tmp_path / "toy", made.model, graph)
        found = check_engine(run, made.model, graph, references, lambda step: None)
    assert verdict(precision, [found]).passed
    assert not np.array_equal(found.outputs[0], found.outputs[1])  # not one array twice


def test_an_engine_without_its_file_is_one_clear_error(tmp_path):
    made = toy_bundle(tmp_path / "toy", "onnxruntime")
    shutil.rmtree(tmp_path / "toy")
    with (
        pytest.raises(BackendError, match=r"cannot load model\.onnx"),
        open_engines(tmp_path / "toy", made, made.model.graphs[0]),
    ):
        pass


@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt-rtx"])
def test_a_tensorrt_engine_without_a_gpu_is_skipped_for_that_reason(tmp_path, flavour):
    driver = read_driver()
    if driver.devices:
        pytest.skip("this machine has a GPU")
    made = toy_bundle(tmp_path / "toy", flavour, mlp1=OVERFLOW)
    reason = why_not(made)
    assert reason is not None
    assert reason.startswith(
        f"no NVIDIA GPU can be used here ({driver.missing}); it needs a GPU of compute capability "
    )


def test_an_engine_that_tensorrt_refuses_is_one_clear_error(tmp_path):
    pytest.importorskip("tensorrt_rtx")
    pytest.importorskip("polygraphy")
    made = toy_bundle(tmp_path / "toy", "tensorrt-rtx")  # an ONNX file is no engine
    with (
        pytest.raises(BackendError, match="it was built and cannot run: Could not deserialize engine") as caught,
        open_engines(tmp_path / "toy", made, made.model.graphs[0]),
    ):
        pass
    assert caught.value.subject == f"tensorrt-rtx {made.flavour_version} engine"
