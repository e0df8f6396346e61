"""`--repair`: the parts with the fault are found, no others, and what cannot be mended is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
from support.altered_models import plant_overflow
from support.toy_network import ABSORPTION, OVERFLOW, Fault, write_reference, write_toy

from briges.engines.gate import check_onnx, verdict
from briges.engines.onnx_graph import load_graph
from briges.engines.repair import MAX_TRIALS, find_parts, repaired
from briges.runtime.agreement import Precision
from briges.runtime.errors import GateError, UsageError
from briges.runtime.photographs import read_references
from briges.runtime.sidecar import ModelSpec, read_model

NO_ONE = lambda step: None  # noqa: E731


def gate_passes(folder: Path, spec: ModelSpec, parts: tuple[str, ...], dtype: Precision = "fp32") -> bool:
    graph = spec.graphs[0]
    model = repaired(load_graph(folder / graph.file), spec, parts, dtype)
    references = read_references(folder, spec, graph)
    return verdict(spec.precision, [check_onnx(model, folder, spec, graph, references, NO_ONE)]).passed


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ({"mlp1": OVERFLOW}, ("geometry.blocks.1.mlp",)),
        ({"attn0": OVERFLOW}, ("geometry.blocks.0.attn",)),
        ({"mlp0": ABSORPTION}, ("geometry.blocks.0.mlp",)),
        ({"mlp1": OVERFLOW, "attn0": OVERFLOW}, ("geometry.blocks.0.attn", "geometry.blocks.1.mlp")),
        ({"mlp0": ABSORPTION, "mlp1": ABSORPTION}, ("geometry.blocks.0.mlp", "geometry.blocks.1.mlp")),
        ({"mlp0": ABSORPTION, "attn1": OVERFLOW}, ("geometry.blocks.0.mlp", "geometry.blocks.1.attn")),
        ({"stream": OVERFLOW}, ("geometry.blocks.0", "geometry.blocks.1")),
    ],
)
def test_exactly_the_parts_with_the_fault_are_found(tmp_path, faults: dict[str, Fault], expected):
    spec = write_toy(tmp_path / "toy", "fp16", **faults)
    assert not gate_passes(tmp_path / "toy", spec, ())
    assert find_parts(tmp_path / "toy", spec, spec.graphs, "fp32", NO_ONE) == expected
    assert gate_passes(tmp_path / "toy", spec, expected)


def test_a_bf16_model_is_mended_in_fp32(tmp_path):
    spec = write_toy(tmp_path / "toy", "bf16", mlp0=ABSORPTION)
    parts = find_parts(tmp_path / "toy", spec, spec.graphs, "fp32", NO_ONE)
    assert parts == ("geometry.blocks.0.mlp",)


def test_an_overflow_can_be_mended_in_bf16_but_lost_digits_cannot(tmp_path):
    spec = write_toy(tmp_path / "overflow", "fp16", mlp1=OVERFLOW)
    parts = find_parts(tmp_path / "overflow", spec, spec.graphs, "bf16", NO_ONE)
    assert parts == ("geometry.blocks.1.mlp",)
    assert gate_passes(tmp_path / "overflow", spec, parts, "bf16")
    spec = write_toy(tmp_path / "digits", "fp16", mlp1=ABSORPTION)
    with pytest.raises(GateError, match="with every part in bf16 the gate still fails") as caught:
        find_parts(tmp_path / "digits", spec, spec.graphs, "bf16", NO_ONE)
    assert caught.value.cure == "repair with fp32"


def test_one_fault_takes_two_inferences_and_one_trial(tmp_path):
    spec = write_toy(tmp_path / "toy", "fp16", attn1=OVERFLOW)
    steps: list[str] = []
    find_parts(tmp_path / "toy", spec, spec.graphs, "fp32", steps.append)
    assert steps == ["comparing every part in fp16 and fp32", f"trial 1 of at most {MAX_TRIALS}: 1 parts in fp32"]


def test_a_model_that_fails_in_float32_too_is_hopeless(tmp_path):
    spec = write_toy(tmp_path / "toy", "fp16", mlp1=OVERFLOW)
    depths = read_references(tmp_path / "toy", spec, spec.graphs[0])
    write_reference(tmp_path / "toy", spec.graphs[0], [depth[..., ::-1] for depth in depths])
    with pytest.raises(GateError, match="with every part in fp32 the gate still fails: relative_l2") as caught:
        find_parts(tmp_path / "toy", spec, spec.graphs, "fp32", NO_ONE)
    assert caught.value.cure == "export the model again; if that changes nothing, report it"


def test_a_model_whose_onnx_passes_is_not_repaired_for_the_engines_fault(tmp_path):
    spec = write_toy(tmp_path / "toy", "fp16")
    with pytest.raises(GateError, match="the typed ONNX passes its gate as it is: the engine loses the accuracy"):
        find_parts(tmp_path / "toy", spec, spec.graphs, "fp32", NO_ONE)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "fp32"), ("bf16", "bf16"), ("fp32", "bf16")])
def test_a_type_that_widens_nothing_is_refused(tmp_path, precision, dtype):
    spec = write_toy(tmp_path / "toy", precision)
    with pytest.raises(UsageError, match=f"{dtype} for a model exported in {precision}"):
        find_parts(tmp_path / "toy", spec, spec.graphs, dtype, NO_ONE)


def test_a_fault_in_a_real_export_is_found_and_mended(typed_tiny, tmp_path):
    shutil.copytree(typed_tiny, tmp_path / "model")
    spec = read_model(tmp_path / "model")
    model = load_graph(tmp_path / "model" / spec.graphs[0].file)
    plant_overflow(model, "gates.2.self_block.mlp.fc2")
    onnx.save(model, tmp_path / "model" / spec.graphs[0].file)
    assert not gate_passes(tmp_path / "model", spec, ())
    parts = find_parts(tmp_path / "model", spec, spec.graphs, "fp32", NO_ONE)
    assert parts == ("gates.2.self_block.mlp",)
    assert gate_passes(tmp_path / "model", spec, parts)


def test_tensorrt_builds_the_repaired_graph(tmp_path):
    trt = pytest.importorskip("tensorrt_rtx")
    spec = write_toy(tmp_path / "toy", "fp16", attn1=OVERFLOW)
    path = tmp_path / "toy" / spec.graphs[0].file
    onnx.save(repaired(load_graph(path), spec, ("geometry.blocks.1.attn",), "fp32"), path)
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(path)), parser.get_error(0)
    types = [network.get_layer(index).get_output(0).dtype for index in range(network.num_layers)]
    assert {trt.float16, trt.float32} <= set(types)
    assert builder.build_serialized_network(network, builder.create_builder_config()) is not None
