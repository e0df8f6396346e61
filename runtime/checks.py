"""What a caller of the estimator may ask for, checked before anything is computed."""

from __future__ import annotations

import os
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from briges.runtime.backend import Provider, RunOptions
from briges.runtime.errors import ImageError, UsageError, unknown_name
from briges.runtime.manifest import Manifest
from briges.runtime.postprocess import COLORMAPS
from briges.runtime.preprocess import Fit
from briges.runtime.sidecar import ModelSpec

_FLOAT32_MIN, _FLOAT32_MAX = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def check_options(options: RunOptions, manifest: Manifest | None = None) -> None:
    """Refuse values that no bundle, or with ``manifest`` this bundle, can take. Raises UsageError."""
    for subject, value, kind in (("fit", options.fit, Fit), ("provider", options.provider, Provider)):
        if value not in get_args(kind):
            raise unknown_name(subject, str(value), get_args(kind))
    if not isinstance(options.bgr, bool):
        raise _refused("bgr", repr(options.bgr), "True or False", "True for images as OpenCV has them")
    cores = os.cpu_count() or 1
    if options.threads is not None and not (_is_whole(options.threads) and 1 <= options.threads <= cores):
        # ONNX Runtime would start as many as asked for, and they would fight over the cores.
        raise _refused("threads", repr(options.threads), f"1 to {cores}, the cores here", "leave it out")
    if not _is_whole(options.device) or options.device < 0:
        raise _refused("device", repr(options.device), "0 or more", "0 is the first GPU; `briges doctor` lists them")
    if options.cuda_graph != "auto" and not isinstance(options.cuda_graph, bool):
        raise _refused("cuda_graph", repr(options.cuda_graph), '"auto", True or False', "leave it out")
    if not _is_whole(options.semantic_interval) or options.semantic_interval < 1:
        raise _refused(
            "semantic_interval", repr(options.semantic_interval), "1 or more", "1 computes them for every frame"
        )
    change = options.scene_change
    if change is not None and not (isinstance(change, (int, float)) and 0 <= change <= 1):
        raise _refused("scene_change", repr(change), "0 to 1, or None", "leave it out")
    if manifest is not None and options.semantic_interval > 1:
        _check_interval(options.semantic_interval, manifest)


def _check_interval(interval: int, manifest: Manifest) -> None:
    model = manifest.model
    if len(model.graphs[0].inputs) == 1:
        came, cure = f"{interval} for {model.preset}, which has no semantic encoder", "leave it out"
    elif not manifest.options.split:
        came = f"{interval} for an engine that is one piece"
        cure = "build the bundle with `briges build --split`: then the semantic part can rest"
    elif model.batch > 1:
        came = f"{interval} for an engine of batch {model.batch}, whose images need not be neighbours"
        cure = "export the model with `--batch 1`"
    else:
        return
    raise UsageError(
        subject="semantic_interval", came=came, expected="a split bundle of a gated preset, batch 1", cure=cure
    )


def check_temperature(temperature: float | None, model: ModelSpec) -> float:
    """The value for the model's input, 1.0 where none is given. Raises UsageError."""
    if temperature is None:
        return 1.0
    if model.temperature.mode != "dynamic":
        raise UsageError(
            subject="temperature",
            came=f"{temperature} for a bundle whose temperature is {model.temperature.mode}",
            expected="no temperature",
            cure="export the model with `--temperature dynamic` to set it per call",
        )
    value = float(temperature)
    # Judged as the float32 it becomes: 1e-50 would be a division by zero inside the engine.
    if not _FLOAT32_MIN <= value <= _FLOAT32_MAX:
        raise _refused("temperature", value, "a number above 0 that float32 holds in full", "1.0 is as trained")
    return value


def check_colours(colormap: str, percentiles: tuple[float, float] | None) -> None:
    """Refuse a colour table that does not exist and percentiles that are none. Raises UsageError."""
    if colormap not in COLORMAPS:
        raise unknown_name("colormap", colormap, COLORMAPS)
    if percentiles is not None and not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise _refused("percentiles", percentiles, "two numbers of 0 to 100, the lower first", "such as (2, 98)")


def check_out(out: NDArray[np.float32], shape: tuple[int, ...], on_device: bool) -> None:
    """Refuse an array that cannot receive the depth of an image of ``shape``. Raises ImageError, UsageError."""
    if on_device:
        raise _refused("on_device", "both it and out", "one of the two", "leave out `out`")
    if not isinstance(out, np.ndarray):
        came = type(out).__name__
    elif out.dtype != np.float32 or out.shape != shape:
        came = f"{out.dtype} {list(out.shape)}"
    elif not (out.flags.c_contiguous and out.flags.writeable):
        came = "a read-only array" if out.flags.c_contiguous else "an array that is not contiguous"
    else:
        return
    raise ImageError(
        subject="out",
        came=came,
        expected=f"a writable, C-contiguous float32 array {list(shape)}",
        cure="allocate it with numpy.empty(image.shape[:2], numpy.float32)",
    )


def check_sequence(images: object) -> None:
    """Refuse one image where several are expected. Raises ImageError."""
    if not hasattr(images, "__iter__") or (isinstance(images, np.ndarray) and images.ndim == 3):
        raise ImageError(
            subject="images",
            came="one image" if isinstance(images, np.ndarray) else type(images).__name__,
            expected="a list of images",
            cure="call the estimator itself with one image, or give [image]",
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refused(subject: str, came: object, expected: str, cure: str) -> UsageError:
    return UsageError(subject=subject, came=str(came), expected=expected, cure=cure)
