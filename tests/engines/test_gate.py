"""The gate: a good typed model passes it, every kind of bad one does not, and its verdict says what was wrong."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from support.toy_network import ABSORPTION, HEIGHT_PX, OVERFLOW, WIDTH_PX, Fault, write_toy

from briges.engines.gate import Check, check_engine, check_onnx, describe, gate_error, skip, verdict
from briges.engines.onnx_graph import load_graph
from briges.runtime import contracts
from briges.runtime.agreement import LIMITS, Precision
from briges.runtime.manifest import GateRow
from briges.runtime.photographs import Feed, read_references
from briges.runtime.sidecar import ModelSpec, read_model

PRECISIONS: list[Precision] = ["fp32", "fp16", "bf16"]


def check(folder: Path, spec: ModelSpec, model: ModelProto | None = None) -> Check:
    graph = spec.graphs[0]
    references = read_references(folder, spec, graph)
    return check_onnx(model or load_graph(folder / graph.file), folder, spec, graph, references, lambda step: None)


def check_toy(folder: Path, precision: Precision, **faults: Fault) -> Check:
    return check(folder, write_toy(folder, precision, **faults))


def with_last_step(folder: Path, operator: str, operand: NDArray[np.float32]) -> ModelProto:
    """The graph in ``folder``, with ``operand`` applied to its depth."""
    model = load_graph(folder / contracts.MODEL_FILE)
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(helper.make_node(operator, ["before", "operand"], [contracts.DEPTH]))
    model.graph.initializer.append(numpy_helper.from_array(operand, "operand"))
    return model


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_good_model_passes_with_room_to_spare(tmp_path, precision):
    found = check_toy(tmp_path / "toy", precision)
    gate = verdict(precision, [found])
    assert gate.passed
    assert gate.limits == LIMITS[precision]
    (row,) = gate.rows
    assert (row.subject, row.size, row.skipped) == ("onnx", f"{HEIGHT_PX}x{WIDTH_PX}", None)
    assert row.agreement.photographs == len(found.outputs) == 2
    assert row.agreement.relative_l2 < gate.limits.relative_l2 / 4


def test_the_error_of_half_precision_shows_and_bf16_has_more_of_it(tmp_path):
    errors = [check_toy(tmp_path / p, p).row.agreement.relative_l2 for p in PRECISIONS]
    assert errors[0] < 1e-6
    assert 1e-4 < errors[1] < errors[2] / 4


def test_the_real_typed_export_passes_and_is_judged_more_strictly_than_onnx_runtime_does(typed_tiny):
    spec = read_model(typed_tiny)
    found = check(typed_tiny, spec)
    assert verdict("fp16", [found]).passed
    # ONNX Runtime drops casts between neighbours, and with them the rounding that the types ask for.
    assert found.row.agreement.relative_l2 > 1.1 * spec.graphs[0].agreement.relative_l2


def test_an_overflow_is_caught_although_its_depth_would_be_right_on_a_cpu(tmp_path):
    gate = verdict("fp16", [check_toy(tmp_path / "toy", "fp16", mlp1=OVERFLOW)])
    assert not gate.passed
    assert gate.violations == ("onnx 56x70: the output has NaN or infinite values",)
    assert gate.rows[0].agreement.photographs == 2
    assert verdict("bf16", [check_toy(tmp_path / "bf16", "bf16", mlp1=OVERFLOW)]).passed


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_digits_lost_without_any_overflow_are_caught(tmp_path, precision):
    gate = verdict(precision, [check_toy(tmp_path / "toy", precision, mlp0=ABSORPTION)])
    assert {text.split()[2] for text in gate.violations} == {"relative_l2", "aligned_deviation", "correlation"}


def test_a_single_nan_is_caught(tmp_path):
    spec = write_toy(tmp_path / "toy", "fp16")
    spot = np.zeros((1, 1, HEIGHT_PX, WIDTH_PX), np.float32)
    spot[..., 3, 5] = np.nan
    gate = verdict("fp16", [check(tmp_path / "toy", spec, with_last_step(tmp_path / "toy", "Add", spot))])
    assert gate.violations == ("onnx 56x70: the output has NaN or infinite values",)


def test_a_wrong_spot_is_caught_by_the_deviation_although_the_whole_agrees(tmp_path):
    spec = write_toy(tmp_path / "toy", "fp16")
    span = max(float(np.ptp(r)) for r in read_references(tmp_path / "toy", spec, spec.graphs[0]))
    window = np.zeros((1, 1, HEIGHT_PX, WIDTH_PX), np.float32)
    window[..., 10, 20] = 0.07 * span
    gate = verdict("fp16", [check(tmp_path / "toy", spec, with_last_step(tmp_path / "toy", "Add", window))])
    assert [text.split()[2] for text in gate.violations] == ["aligned_deviation"]


def test_a_scale_that_users_never_see_is_still_an_error_of_the_engine(tmp_path):
    spec = write_toy(tmp_path / "toy", "fp16")
    twice = with_last_step(tmp_path / "toy", "Mul", np.array(2.0, np.float32))
    (violation,) = verdict("fp16", [check(tmp_path / "toy", spec, twice)]).violations
    assert re.fullmatch(r"onnx 56x70: relative_l2 1\.00e\+00, at most 1e-02 allowed", violation)


def test_an_engine_is_judged_by_its_own_output_and_by_the_same_limits(tmp_path):
    spec = write_toy(tmp_path / "toy", "fp16")
    graph, references = spec.graphs[0], read_references(tmp_path / "toy", spec, spec.graphs[0])
    fed: list[Feed] = []

    def swapped(feed: Feed) -> NDArray[np.float32]:
        fed.append(feed)
        return references[-len(fed)]  # each photograph gets the other one's depth

    steps: list[str] = []
    wrong = check_engine(swapped, spec, graph, references, steps.append)
    assert [set(feed) for feed in fed] == [{contracts.IMAGE}] * 2
    assert steps == [f"checking the engine of 56x70 on photograph {number} of 2" for number in (1, 2)]
    gate = verdict("fp16", [check(tmp_path / "toy", spec), wrong])
    assert {text.split(":")[0] for text in gate.violations} == {"engine 56x70"}


def test_an_engine_that_cannot_run_here_is_recorded_with_the_reason_and_fails_nothing(tmp_path):
    spec = write_toy(tmp_path / "toy", "fp16")
    gate = verdict("fp16", [check(tmp_path / "toy", spec), skip("engine", spec.graphs[0], "no NVIDIA driver")])
    assert gate.passed
    assert gate.rows[1] == GateRow("engine", "56x70", None, "no NVIDIA driver")
    ran, skipped = describe(gate)
    assert re.match(r"onnx 56x70: relative L2 \d\.\de-04 \(\d+% of 1e-02 allowed\), aligned deviation ", ran)
    assert skipped == "engine 56x70: skipped: no NVIDIA driver"


def test_the_error_of_a_failed_gate_says_where_to_look_and_what_to_do(tmp_path):
    gate = verdict("fp16", [check_toy(tmp_path / "toy", "fp16", mlp1=OVERFLOW)])
    error = gate_error("engine of briges-tiny", gate, tmp_path / "evidence", may_repair=True)
    assert error.exit_code == 1
    assert error.came == "failed its numeric gate: onnx 56x70: the output has NaN or infinite values"
    assert str(tmp_path / "evidence") in error.cure
    assert "--repair" in error.cure


def test_a_half_typed_graph_is_really_what_the_toy_is(tmp_path):
    spec = write_toy(tmp_path / "toy", "fp16")
    model = load_graph(tmp_path / "toy" / spec.graphs[0].file)
    onnx.checker.check_model(str(tmp_path / "toy" / spec.graphs[0].file), full_check=True)
    kinds = {weight.data_type for weight in model.graph.initializer if len(weight.dims) == 2}
    assert kinds == {TensorProto.FLOAT16}
