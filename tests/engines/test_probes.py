"""Looking at tensors inside a graph: the values must be the tensor's own, and the outputs stay as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from briges.engines.probes import observe

SIDES = [3, 40, 50]


def test_samples_and_range_are_those_of_the_tensor():
    nodes = [helper.make_node("Neg", ["x"], ["inner"]), helper.make_node("Relu", ["inner"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SIDES) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    feeds = [{"x": np.random.default_rng(seed).standard_normal(SIDES).astype(np.float32)} for seed in range(2)]
    runs = observe(model, Path(), feeds, {"a": "inner"}, {"b": "inner"})
    for run, feed in zip(runs, feeds, strict=True):
        inner = -feed["x"]
        assert run.keys() == {"y", "a/samples", "b/max", "b/min"}
        assert np.array_equal(run["y"], np.maximum(inner, 0))
        assert np.array_equal(run["a/samples"], inner.ravel()[::101])
        assert (run["b/max"], run["b/min"]) == (inner.max(), inner.min())


def test_samples_reach_every_channel_of_the_usual_widths():
    for width in (32, 48, 64, 128, 256, 384, 768, 1024, 1280):
        assert len({index % width for index in range(0, 101 * width, 101)}) == width
