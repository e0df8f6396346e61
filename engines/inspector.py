"""What TensorRT's engine inspector says of a finished engine: how many layers of it are the attention plugin's."""

from __future__ import annotations

import json

from briges.runtime.contracts import PLUGIN_NAME


def plugin_layers_in(description: str) -> int | None:
    """Count them in the inspector's JSON, as engines with detailed profiling verbosity describe themselves.

    None where it does not describe layers one by one, or shows no plugin at all: TensorRT-RTX folds plugins into larger
    layers. A layer of a plugin has a LayerType such as "PluginV2", and mostly the plugin's own name as PluginType
    (NVIDIA/TensorRT, trtexec --exportLayerInfo).
    """
    try:
        layers = json.loads(description)["Layers"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        return None
    plugins = [layer for layer in layers if str(layer.get("LayerType", "")).lower().startswith("plugin")]
    if not plugins:
        return None
    return sum(layer.get("PluginType", PLUGIN_NAME) == PLUGIN_NAME for layer in plugins)
