"""Counting plugin layers in what the engine inspector of TensorRT writes."""

from __future__ import annotations

import json

import pytest

from briges.engines.inspector import plugin_layers_in

OURS = {"Name": "gates.0", "LayerType": "PluginV3", "PluginType": "TemperatureScaledAttention"}
UNNAMED = {"Name": "gates.1", "LayerType": "PluginV3"}
OTHERS = [
    {"Name": "a", "LayerType": "PluginV2", "PluginType": "Other"},
    {"Name": "b", "LayerType": "gemm"},
    {"Name": "c"},
]


def test_layers_of_the_plugin_are_counted_and_no_others():
    assert plugin_layers_in(json.dumps({"Layers": [OURS, *OTHERS, UNNAMED, OURS], "I/O Tensors": []})) == 3
    assert plugin_layers_in(json.dumps({"Layers": OTHERS})) == 0
    assert plugin_layers_in(json.dumps({"Layers": OTHERS[1:]})) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"Layers": ["gates.0", "gates.1"]}', '{"Layers": 3}'])
def test_an_engine_that_does_not_describe_its_layers_cannot_be_counted(text):
    assert plugin_layers_in(text) is None
