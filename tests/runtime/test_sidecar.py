"""What an exported model says of itself: round trip, models that cannot be, and what must be told of it."""

from __future__ import annotations

import dataclasses
import json

import pytest
from support.manifests import (
    GOOD,
    RANDOM,
    TRAINED,
    depth_spec,
    edit_json,
    model,
    semantic_spec,
    write_model_folder,
)

from briges.runtime.errors import BundleError
from briges.runtime.records import from_object, parse_json, to_json
from briges.runtime.sidecar import ModelSpec, SizedGraph, Weights, notices, read_model

SEMANTIC = semantic_spec(64)


def graph(height_px: int, width_px: int, *others, file: str = "model.onnx") -> SizedGraph:
    return SizedGraph(file, (depth_spec(height_px, width_px), *others), None)


def test_it_survives_the_round_trip():
    for made in (model(), model(weights=RANDOM, reference=None, gates=None, decisions=())):
        assert from_object(ModelSpec, parse_json(to_json(made))) == made


def test_a_real_export_is_read(tiny_model):
    spec = read_model(tiny_model)
    assert (spec.preset, [made.size for made in spec.graphs]) == ("briges-tiny", ["126x126"])
    assert [item.name for item in spec.graphs[0].inputs] == ["image", "semantic_image"]


@pytest.mark.parametrize(("without", "left"), [("model.onnx", "reference.npz"), ("reference.npz", "model.onnx")])
def test_a_sidecar_without_its_graph_or_its_reference_is_refused(tmp_path, without, left):
    folder = write_model_folder(tmp_path / "model", model())
    files = json.loads((folder / "model.json").read_text())["files"]
    del files[without]
    edit_json(folder / "model.json", files=files)
    with pytest.raises(BundleError) as caught:
        read_model(folder)
    assert caught.value.came == f"model.json lists the files ['{left}']"
    assert caught.value.expected == f"{without} among them"


def test_an_unchecked_model_needs_no_reference(tmp_path):
    folder = write_model_folder(tmp_path / "model", model(reference=None, files={"model.onnx": ""}))
    assert read_model(folder).reference is None


@pytest.mark.parametrize(("files", "random_seed"), [((), None), (TRAINED.files, 7)])
def test_weights_come_from_exactly_one_source(files, random_seed):
    with pytest.raises(ValueError, match="either from files or from a random seed"):
        Weights(files, random_seed, "stub", "Apache-2.0")


@pytest.mark.parametrize("inputs", [(), (SEMANTIC,), (SEMANTIC, depth_spec(56, 70)), (depth_spec(56, 70),) * 2])
def test_inputs_that_no_network_has_are_refused(inputs):
    with pytest.raises(ValueError, match="inputs must be 'image' and, for gated presets, 'semantic_image'"):
        SizedGraph("model.onnx", inputs, None)


@pytest.mark.parametrize(
    "inputs", [(depth_spec(0, 70),), (depth_spec(56, -14),), (depth_spec(56, 70), semantic_spec(0))]
)
def test_a_size_that_is_not_positive_is_refused(inputs):
    with pytest.raises(ValueError, match="input sizes must be positive"):
        SizedGraph("model.onnx", inputs, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "batch must be positive"),
        ({"graphs": ()}, "there must be graphs, each of another size"),
        ({"graphs": (graph(56, 70), graph(56, 70, file="other.onnx"))}, "there must be graphs, each of another size"),
        ({"graphs": (graph(56, 70, SEMANTIC), graph(56, 84))}, "all sizes must share one semantic input"),
        ({"graphs": (graph(56, 70, SEMANTIC), graph(56, 84, semantic_spec(80)))}, "must share one semantic input"),
        ({"files": {"../model.onnx": ""}}, "'../model.onnx' is not a plain file name"),
    ],
)
def test_a_model_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        model(**changes)


def test_a_size_is_height_by_width_of_the_depth_input():
    made = SizedGraph("model.onnx", (depth_spec(56, 70), SEMANTIC), GOOD)
    assert (made.size, made.image) == ("56x70", depth_spec(56, 70))


@pytest.mark.parametrize("changes", [{"mean": (1.0, 2.0)}, {"std": (1.0,)}, {"std": (1.0, 0.0, 1.0)}])
def test_a_normalisation_that_cannot_be_is_refused(changes):
    with pytest.raises(ValueError, match="mean and std must hold three numbers each, those of std above 0"):
        dataclasses.replace(depth_spec(56, 70), **changes)


def test_the_shape_of_an_input_follows_its_dtype():
    assert depth_spec(56, 70).shape(2) == (2, 56, 70, 3)
    assert depth_spec(56, 70, "float32").shape(2) == (2, 3, 56, 70)


def test_a_checked_model_with_trained_weights_has_no_notices():
    assert notices(model()) == ()


def test_random_weights_and_a_skipped_check_are_told():
    told = notices(model(weights=RANDOM, reference=None))
    assert told == (
        "RANDOM WEIGHTS (seed 7): latency is representative, the depth is meaningless",
        "UNVERIFIED: this model was exported with --no-verify and never compared with PyTorch",
    )
    assert notices(model(weights=RANDOM)) == told[:1]
    assert notices(model(reference=None)) == told[1:]


def test_weights_that_must_not_earn_money_are_told():
    licence = "your checkpoint's own, on top of CC-BY-NC-4.0 (Depth Anything V2 ViT-B/L weights: no commercial use)"
    spec = model(weights=dataclasses.replace(TRAINED, licence=licence))
    assert notices(spec) == (f"NO COMMERCIAL USE of these weights: {licence}",)
