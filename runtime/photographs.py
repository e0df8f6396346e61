"""A few real photographs that travel with the package, for checks that must not be made on noise."""

from __future__ import annotations

import zipfile
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from briges.runtime import contracts
from briges.runtime.errors import BundleError
from briges.runtime.preprocess import fill_depth_input, fill_semantic_input, place
from briges.runtime.sidecar import ModelSpec, SizedGraph

Feed = dict[str, NDArray[Any]]

# A dynamic temperature is checked at two values: a graph that ignores its input would pass at one.
_TEMPERATURES = (1.0, 3.0)


def load_photographs() -> list[NDArray[np.uint8]]:
    """uint8 [h, w, 3] RGB arrays of different aspect, in a fixed order. Sources and licences: photographs/README.md."""
    from PIL import Image

    folder = resources.files("briges.runtime") / "photographs"
    photographs = []
    for item in sorted((entry for entry in folder.iterdir() if entry.name.endswith(".jpg")), key=lambda e: e.name):
        with item.open("rb") as stream:
            photographs.append(np.asarray(Image.open(stream).convert("RGB")))
    return photographs


def photograph_feeds(spec: ModelSpec, graph: SizedGraph) -> list[Feed]:
    """One set of input arrays per photograph, as the runtime prepares them; a batch holds different photographs."""
    photographs = load_photographs()
    feeds = []
    for index in range(len(photographs)):
        feed: Feed = {item.name: np.empty(item.shape(spec.batch), item.dtype) for item in graph.inputs}
        for slot in range(spec.batch):
            photograph = photographs[(index + slot) % len(photographs)]
            placement = place(photograph.shape[0], photograph.shape[1], graph.image, "pad")
            fill_depth_input(photograph, graph.image, placement, feed[contracts.IMAGE][slot])
            for semantic in graph.inputs[1:]:
                fill_semantic_input(photograph, graph.image, semantic, placement, feed[semantic.name][slot])
        if spec.temperature.mode == "dynamic":
            feed[contracts.TEMPERATURE] = np.full(1, _TEMPERATURES[index % len(_TEMPERATURES)], np.float32)
        feeds.append(feed)
    return feeds


def read_references(folder: Path, spec: ModelSpec, graph: SizedGraph) -> list[NDArray[np.float32]]:
    """What fp32 PyTorch made of those feeds at export: float32 [B, 1, H, W] each, in their order.

    The model must have a reference, and its folder must have been verified. Raises BundleError.
    """
    assert spec.reference is not None
    try:
        # Opened here: NumPy leaves the file open when it is no archive.
        with (folder / spec.reference).open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return [arrays[reference_key(graph, index)] for index in range(len(load_photographs()))]
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise BundleError(
            subject=f"model folder {folder}",
            came=f"{spec.reference} does not hold the depth of every photograph at {graph.size}",
            expected="what the same release of briges-trt exported",
            cure="export the model again with `briges export`",
        ) from error


def reference_key(graph: SizedGraph, index: int) -> str:
    """The name of photograph ``index``'s depth in the reference file."""
    return f"{graph.size}/{index}"
