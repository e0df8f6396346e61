"""From a request to a model folder: what the sidecar says, and that a folder appears whole or not at all."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from support.checkpoints import depth_anything_shapes, hollow, save

from briges.export.checkpoints import WeightFiles
from briges.export.exporter import ExportRequest, export_model
from briges.export.presets import find_preset
from briges.runtime.agreement import LIMITS, violations
from briges.runtime.errors import (
    CheckpointError,
    ExportError,
    InvalidSizeError,
    OutputError,
    UnknownNameError,
    UsageError,
)
from briges.runtime.sidecar import (
    AttentionForm,
    Gates,
    ImageInput,
    ModelSpec,
    SizedGraph,
    Temperature,
    Weights,
    notices,
    read_model,
)

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
RANDOM = "none: random weights"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def contents(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, hidden files included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse(steps: str) -> None:
    raise AssertionError(f"nothing should start, but: {steps}")


# What the sidecar says


def test_the_sidecar_says_everything_a_runtime_needs(tiny_model):
    spec = read_model(tiny_model)
    agreement = spec.graphs[0].agreement
    assert agreement is not None
    assert agreement.max_relative_error is not None
    assert 0 < agreement.max_relative_error < 1e-5
    assert agreement.photographs == 2
    inputs = (
        ImageInput("image", "uint8", 126, 126, MEAN, STD, "cubic"),
        ImageInput("semantic_image", "uint8", 256, 256, MEAN, STD, "linear-antialiased-stretch"),
    )
    assert spec == ModelSpec(
        schema_version=3,
        preset="briges-tiny",
        precision="fp32",
        decisions=(),
        attention=AttentionForm("plugin", "all", "plugin", "plugin", 0.0),
        opset=18,
        batch=1,
        taps=(0, 1, 2, 3),
        graphs=(SizedGraph("model.onnx", inputs, agreement),),
        gates=Gates(16, "pool"),
        temperature=Temperature("folded", 1.0, 1.0, learned=()),
        weights=Weights((), 7, "none", RANDOM),
        reference="reference.npz",
        versions={name: metadata.version(name) for name in ("briges-trt", "torch", "onnx", "onnxscript")},
        files={name: sha256(tiny_model / name) for name in ("model.onnx", "model.onnx.data", "reference.npz")},
    )


def test_the_sidecar_of_an_ungated_batch_has_one_image_and_no_temperature(ungated_model):
    spec = read_model(ungated_model)
    assert (spec.preset, spec.batch, spec.taps) == ("depth-anything-v2-s", 2, (2, 5, 8, 11))
    assert [graph.inputs for graph in spec.graphs] == [(ImageInput("image", "uint8", 98, 126, MEAN, STD, "cubic"),)]
    assert spec.temperature == Temperature("none", 1.0, 1.0, learned=())
    assert spec.attention == AttentionForm("plugin", "all", None, None, 0.0)
    agreement = spec.graphs[0].agreement
    assert agreement is not None
    assert violations(agreement, LIMITS["fp32"]) == []


def test_the_sidecar_of_an_unchecked_model_says_so_and_every_use_will_tell(dynamic_export):
    spec = dynamic_export.spec
    assert (spec.reference, spec.graphs[0].agreement) == (None, None)
    assert not (dynamic_export.folder / "reference.npz").exists()
    assert spec.temperature == Temperature("dynamic", 1.0, 1.0, learned=())
    assert [(item.dtype, item.height_px, item.width_px) for item in spec.graphs[0].inputs] == [
        ("float32", 112, 140),
        ("float32", 256, 256),
    ]
    assert notices(spec) == (
        "RANDOM WEIGHTS (seed 7): latency is representative, the depth is meaningless",
        "UNVERIFIED: this model was exported with --no-verify and never compared with PyTorch",
    )


def test_the_sidecar_of_a_half_model_has_its_precision_table_and_its_agreement(typed_tiny):
    spec = read_model(typed_tiny)
    assert spec.precision == "fp16"
    # Two norms, attention, MLP and stream per block, more in a gate; patches, aligner, head and its last convolutions.
    assert len(spec.decisions) == 2 * 1 + 4 * 5 + 1 + 2 * 5 + 1 + 4 * (6 + 5) + 2
    assert all(decision.largest for decision in spec.decisions)
    agreement = spec.graphs[0].agreement
    assert agreement is not None
    assert agreement.max_relative_error is not None
    assert 1e-5 < agreement.max_relative_error < 0.01  # half weights show, and nothing worse


def test_a_bf16_model_is_left_to_the_builders_gate_with_the_reference_it_needs(bfloat_tiny):
    spec = read_model(bfloat_tiny)
    assert spec.graphs[0].agreement is None
    assert spec.reference == "reference.npz"
    assert not any(notice.startswith("UNVERIFIED") for notice in notices(spec))


def test_the_reference_is_what_fp32_gave_whatever_the_precision(tiny_model, typed_tiny, bfloat_tiny):
    files = [np.load(folder / "reference.npz") for folder in (tiny_model, typed_tiny, bfloat_tiny)]
    for arrays in files:
        assert sorted(arrays) == ["126x126/0", "126x126/1"]
        for name in arrays:
            assert arrays[name].dtype == np.float32
            assert np.array_equal(arrays[name], files[0][name])


# What is refused before anything is read


@pytest.mark.parametrize(
    ("changes", "kind", "told"),
    [
        ({"preset": "briges-v3-b"}, UnknownNameError, "did you mean"),
        ({"batch": 0}, InvalidSizeError, "batch: 0\n  expected: 1 to 64"),
        ({"batch": 65}, InvalidSizeError, "batch: 65\n  expected: 1 to 64"),
        (
            {"sizes": ((126, 126), (126, 140), (126, 126))},
            InvalidSizeError,
            "126x126, 126x140, 126x126\n  expected: each",
        ),
        ({"taps": (0, 1, 2, 4)}, UsageError, "--taps: 0,1,2,4\n  expected: four increasing block numbers from 0 to 3"),
    ],
    ids=["preset", "batch-0", "batch-65", "same-size", "taps"],
)
def test_a_wrong_request_is_refused_before_anything_starts(tmp_path, changes, kind, told):
    with pytest.raises(kind) as caught:
        export_model(ExportRequest(**{"preset": "briges-tiny", "source": 0} | changes), tmp_path / "model", refuse)
    assert told in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(0, 126), (126, 0), (127, 126)])
def test_a_wrong_size_is_not_replaced_by_the_presets(tmp_path, size):
    with pytest.raises(InvalidSizeError, match="input size"):
        export_model(ExportRequest("briges-tiny", 0, ((126, 126), size)), tmp_path / "model", print)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_checkpoint_leaves_nothing_behind(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        export_model(ExportRequest("briges-tiny", WeightFiles(tmp_path / "no.pth")), tmp_path / "deep/model", print)
    assert contents(tmp_path) == {}


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(OutputError) as caught:
        export_model(ExportRequest("briges-tiny", 0), tmp_path / "photos", print)
    assert caught.value.came == "exists and was not made by this tool"
    assert caught.value.expected == "a new or empty folder, or one that holds model.json"
    assert contents(tmp_path) == {"photos/holiday.jpg": b"precious"}


# What is refused by the check


def test_dead_weights_fail_the_check_and_the_older_model_stays(tmp_path):
    preset = find_preset("depth-anything-v2-s")
    source = WeightFiles(save(hollow(depth_anything_shapes(preset)), tmp_path / "dead.pth"))
    out = tmp_path / "out" / "model"
    out.mkdir(parents=True)
    (out / "model.json").write_text(older := '{"schema_version": 1, "files": {"model.onnx": ""}}')
    (out / "model.onnx").write_text("its graph")
    steps: list[str] = []
    with pytest.raises(ExportError) as caught:
        export_model(ExportRequest(preset.name, source, ((28, 28),)), out, steps.append)
    assert caught.value.came == "gives the constant depth 0.0 for a photograph"
    assert caught.value.cure == "its weights are dead: take another checkpoint"
    assert steps == ["reading weights", "running PyTorch on photograph 1 of 2"]  # told before the tracing
    assert contents(tmp_path / "out") == {"model/model.json": older.encode(), "model/model.onnx": b"its graph"}
