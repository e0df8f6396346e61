"""What every check is fed: the photographs of the package, as the runtime prepares them, and their references."""

from __future__ import annotations

import numpy as np
import pytest
from support.manifests import depth_spec, model, semantic_spec

from briges.runtime.errors import BundleError
from briges.runtime.photographs import load_photographs, photograph_feeds, read_references, reference_key
from briges.runtime.sidecar import SizedGraph, Temperature

GRAPH = SizedGraph("model.onnx", (depth_spec(112, 140, "float32"), semantic_spec(256, "float32")), None)
OTHER = SizedGraph("other.onnx", (depth_spec(112, 84, "float32"), semantic_spec(256, "float32")), None)
DYNAMIC = model(graphs=(GRAPH,), temperature=Temperature("dynamic", 1.0, 1.0, ()))


def test_the_feeds_are_the_photographs_as_the_runtime_prepares_them():
    feeds = photograph_feeds(DYNAMIC, GRAPH)
    assert len(feeds) == len(load_photographs()) == 2
    for feed in feeds:
        assert {name: (array.dtype, array.shape) for name, array in feed.items()} == {
            "image": (np.float32, (1, 3, 112, 140)),
            "semantic_image": (np.float32, (1, 3, 256, 256)),
            "temperature": (np.float32, (1,)),
        }
        assert np.isfinite(feed["image"]).all()
        assert feed["image"].std() > 0.1


def test_a_dynamic_temperature_is_fed_two_values():
    assert [float(feed["temperature"][0]) for feed in photograph_feeds(DYNAMIC, GRAPH)] == [1.0, 3.0]


def test_a_batch_holds_different_photographs():
    ungated = SizedGraph("model.onnx", (depth_spec(98, 126),), None)
    first, second = photograph_feeds(model(graphs=(ungated,), batch=2, gates=None), ungated)
    assert first["image"].shape == (2, 98, 126, 3)
    assert first["image"].dtype == np.uint8
    assert not np.array_equal(first["image"][0], first["image"][1])
    assert np.array_equal(first["image"], second["image"][::-1])
    assert set(first) == {"image"}


def test_references_are_read_by_size_and_in_the_order_of_the_feeds(tmp_path):
    spec = model(graphs=(GRAPH, OTHER))
    depths = {
        reference_key(graph, index): np.full((1, 1, *graph.image.shape(1)[2:]), index, np.float32)
        for graph in spec.graphs
        for index in (1, 0)
    }
    np.savez(tmp_path / "reference.npz", **depths)
    for graph in spec.graphs:
        for index, depth in enumerate(read_references(tmp_path, spec, graph)):
            assert np.array_equal(depth, depths[f"{graph.size}/{index}"])


def hiding_code(path):
    np.savez(path, **{reference_key(GRAPH, index): np.array([print], dtype=object) for index in (0, 1)})


def of_one_photograph(path):
    np.savez(path, **{reference_key(GRAPH, 0): np.zeros((1, 1, 112, 140), np.float32)})


def of_another_size(path):
    np.savez(path, **{reference_key(OTHER, index): np.zeros((1, 1, 112, 84), np.float32) for index in (0, 1)})


def no_archive(path):
    path.write_bytes(b"PK\x03\x04 and then nothing")


@pytest.mark.parametrize("write", [hiding_code, of_one_photograph, of_another_size, no_archive])
def test_a_reference_of_other_photographs_is_refused_and_code_in_it_is_not_run(tmp_path, write):
    write(tmp_path / "reference.npz")
    with pytest.raises(BundleError) as caught:
        read_references(tmp_path, model(graphs=(GRAPH,)), GRAPH)
    assert caught.value.came == "reference.npz does not hold the depth of every photograph at 112x140"
    assert caught.value.cure == "export the model again with `briges export`"
