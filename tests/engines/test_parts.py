"""`--split`: three engines that together are the one, with a contract between them that the manifest states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from support.building import build_for_onnxruntime
from support.photographs import photograph

from briges.engines.onnx_graph import load_graph
from briges.engines.parts import part_graphs, tensors_of
from briges.export import presets
from briges.export.exporter import ExportRequest, export_model
from briges.runtime import DepthEstimator, contracts
from briges.runtime.manifest import Manifest, read_manifest
from briges.runtime.sidecar import read_model

FEATURES = list(contracts.GEOMETRY_FEATURES)


@pytest.fixture(scope="module")
def gated(sized_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Bundles of a gated model of two sizes: one engine each, and split."""
    return fused_and_split(sized_tiny, tmp_path_factory.mktemp("gated"))


@pytest.fixture(scope="module")
def ungated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same for a preset without gates."""
    folder = tmp_path_factory.mktemp("ungated")
    tiny = presets.find_preset("briges-tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "depth-tiny", replace(tiny, name="depth-tiny", semantic=None))
        export_model(ExportRequest("depth-tiny", 7, verify=False), folder / "model", lambda step: None)
    return fused_and_split(folder / "model", folder)


def fused_and_split(model: Path, folder: Path) -> tuple[Path, Path]:
    build_for_onnxruntime(model, folder / "fused")
    build_for_onnxruntime(model, folder / "split", split=True)
    return folder / "fused", folder / "split"


def depth(bundle: Path, aspect: str, temperature: float | None = None) -> np.ndarray:
    """float32 [H, W] of a photograph."""
    with DepthEstimator(bundle, threads=1) as estimator:
        return estimator(photograph(aspect), temperature=temperature).depth


def assert_same(fused: np.ndarray, split: np.ndarray) -> None:
    """They agree to 1e-6 of the largest depth."""
    assert np.ptp(fused) > 0
    assert np.abs(split - fused).max() <= 1e-6 * np.abs(fused).max()


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("aspect", ["square", "4:3"])
def test_a_split_model_gives_the_depth_of_the_fused_one_at_every_size_and_temperature(gated, aspect, temperature):
    fused, split = (depth(bundle, aspect, temperature) for bundle in gated)
    assert_same(fused, split)


def test_the_temperature_and_the_size_arrive_where_they_matter(gated):
    warm, cold = (depth(gated[1], "square", temperature) for temperature in (3.0, 1.0))
    assert np.abs(warm - cold).max() > 1e-4 * np.abs(cold).max()
    with DepthEstimator(gated[1], threads=1) as estimator:
        assert [graph.size for graph in estimator.manifest.model.graphs] == ["126x126", "126x168"]


def test_a_split_model_without_gates_gives_the_depth_of_the_fused_one(ungated):
    assert_same(*(depth(bundle, "4:3") for bundle in ungated))


def test_all_sizes_share_one_semantic_engine_and_one_file_of_weights(gated, sized_tiny):
    fused, split = map(read_manifest, gated)
    assert [(engine.part, engine.size, engine.file) for engine in split.engines] == [
        ("geometry", "126x126", "geometry-126x126.onnx"),
        ("semantic", None, "semantic.onnx"),
        ("fusion", "126x126", "fusion-126x126.onnx"),
        ("geometry", "126x168", "geometry-126x168.onnx"),
        ("fusion", "126x168", "fusion-126x168.onnx"),
    ]
    for size in ("126x126", "126x168"):
        assert [engine.part for engine in split.engines_of(size)] == ["geometry", "semantic", "fusion"]
    for manifest in (fused, split):
        weights = [name for name in manifest.files if name.endswith(".data")]
        assert manifest.files.keys() == {*weights, *(engine.file for engine in manifest.engines)}
        assert {name: manifest.files[name].sha256 for name in weights} == {
            name: sha256 for name, sha256 in read_model(sized_tiny).files.items() if name.endswith(".data")
        }
        assert len(weights) == 1
        graphs_bytes = sum(file.size_bytes for name, file in manifest.files.items() if name not in weights)
        assert graphs_bytes < manifest.files[weights[0]].size_bytes / 20


def test_a_model_without_gates_is_split_in_two(ungated):
    manifest = read_manifest(ungated[1])
    assert [(engine.part, engine.file) for engine in manifest.engines] == [
        ("geometry", "geometry.onnx"),
        ("fusion", "fusion.onnx"),
    ]
    assert [tensor.name for tensor in manifest.engines[1].inputs] == FEATURES


def names(manifest: Manifest, size: str) -> list[tuple[list[str], list[str]]]:
    """Inputs and outputs of the engines of ``size`` in their order."""
    engines = manifest.engines_of(size)
    return [([t.name for t in engine.inputs], [t.name for t in engine.outputs]) for engine in engines]


def test_the_parts_meet_at_the_tensors_of_the_contract(gated):
    semantic = [contracts.SEMANTIC_FEATURES]
    assert names(read_manifest(gated[1]), "126x168") == [
        ([contracts.IMAGE], FEATURES),
        ([contracts.SEMANTIC_IMAGE], semantic),
        ([*FEATURES, *semantic, contracts.TEMPERATURE], [contracts.DEPTH]),
    ]


ORT_TYPES = {"uint8": "tensor(uint8)", "float32": "tensor(float)", "float16": "tensor(float16)"}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_part_takes_and_gives_what_the_manifest_says(request, tmp_path, precision):
    model = request.getfixturevalue("typed_tiny" if precision == "fp16" else "sized_tiny")
    manifest = build_for_onnxruntime(model, tmp_path / "engine", split=True)
    made: dict[tuple[str | None, str], object] = {}
    for engine in manifest.engines:
        session = onnxruntime.InferenceSession(tmp_path / "engine" / engine.file, providers=["CPUExecutionProvider"])
        for stated, real in ((engine.inputs, session.get_inputs()), (engine.outputs, session.get_outputs())):
            assert [(t.name, ORT_TYPES[t.dtype], list(t.shape)) for t in stated] == [
                (t.name, t.type, t.shape) for t in real
            ]
        made |= {(engine.size, tensor.name): tensor for tensor in engine.outputs}
    half = "float16" if precision == "fp16" else "float32"
    for engine in manifest.engines:
        for tensor in engine.inputs:
            if tensor.name.endswith(("_image", contracts.IMAGE, contracts.TEMPERATURE)):
                continue
            size = None if tensor.name == contracts.SEMANTIC_FEATURES else engine.size
            assert made[size, tensor.name] == tensor
            assert tensor.dtype == half
            # [B, N, C] with a token per patch of 14 pixels; the semantic map is [B, C, grid, grid].
            height, width = map(int, (engine.size or "").split("x"))
            expected = (1, 384, 16, 16) if size is None else (1, height // 14 * (width // 14), 384)
            assert tensor.shape == expected


def test_a_part_has_its_own_weights_and_no_others(sized_tiny):
    spec = read_model(sized_tiny)
    models = {graph.size: load_graph(sized_tiny / graph.file) for graph in spec.graphs}
    parts = {part.stem: part.model for part in part_graphs(spec, models, split=True)}
    whole = {weight.name for weight in models["126x126"].graph.initializer}
    cut = [
        {weight.name for weight in parts[stem].graph.initializer}
        for stem in ("geometry-126x126", "semantic", "fusion-126x126")
    ]
    assert set.union(*cut) == whole
    assert len(cut[0] & cut[1]) + len(cut[1] & cut[2]) < 20  # constants such as shapes
    for part in parts.values():
        assert {entry.key for entry in part.metadata_props} >= {"briges.preset", "briges.temperature"}


def test_every_part_is_a_valid_model_of_its_own(gated):
    for engine in read_manifest(gated[1]).engines:
        onnx.checker.check_model(str(gated[1] / engine.file), full_check=True)


def test_without_split_the_graphs_are_those_of_the_export(sized_tiny):
    spec = read_model(sized_tiny)
    models = {graph.size: load_graph(sized_tiny / graph.file) for graph in spec.graphs}
    parts = part_graphs(spec, models, split=False)
    assert [(part.part, part.size, part.stem) for part in parts] == [
        ("model", "126x126", "model-126x126"),
        ("model", "126x168", "model-126x168"),
    ]
    assert all(part.model is models[part.size or ""] for part in parts)


def test_tensors_of_every_type_of_ours_are_known():
    kinds = {TensorProto.UINT8: "uint8", TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}
    values = [helper.make_tensor_value_info(name, kind, [1, 2]) for kind, name in kinds.items()]
    model = helper.make_model(helper.make_graph([], "none", values, values[:1]))
    inputs, outputs = tensors_of(model)
    assert [(tensor.name, tensor.shape) for tensor in inputs] == [(name, (1, 2)) for name in kinds.values()]
    assert [tensor.dtype for tensor in inputs] == list(kinds.values())
    assert len(outputs) == 1
