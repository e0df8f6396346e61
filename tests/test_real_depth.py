"""The main job on real input: weights with real activations, a real photograph, ground truth beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.building import build_for_onnxruntime
from support.oracle import consult

from briges.engines.gate import open_depth
from briges.engines.onnx_graph import load_graph
from briges.export.assemble import assemble
from briges.export.checkpoints import WeightFiles
from briges.export.exporter import ExportRequest, export_model
from briges.export.presets import find_preset
from briges.runtime import DepthEstimator, contracts
from briges.runtime.agreement import Precision
from briges.runtime.postprocess import restore_size
from briges.runtime.preprocess import fill_depth_input, place
from briges.runtime.sidecar import read_model

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")

# Calibration of the scene: depth_m = focal_px * baseline_m / (disparity + offset_px), from skimage's documentation.
FOCAL_PX, BASELINE_M, OFFSET_PX = 994.978, 0.193001, 31.086


def _motorcycle() -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.bool_]]:
    """Image, depth in metres and where it is valid."""
    import skimage.data

    image, _, disparity = skimage.data.stereo_motorcycle()
    valid = np.isfinite(disparity)
    depth_m = np.where(valid, FOCAL_PX * BASELINE_M / (np.where(valid, disparity, 0) + OFFSET_PX), np.nan)
    return image, depth_m, valid


def _aligned_errors(
    prediction: NDArray[np.float32], depth_m: NDArray[np.float64], valid: NDArray[np.bool_]
) -> tuple[float, float]:
    """AbsRel and delta1 after least-squares scale and shift in inverse depth."""
    used = valid & (prediction > 0)
    design = np.stack([prediction[used], np.ones(used.sum())], axis=1)
    scale, shift = np.linalg.lstsq(design, 1 / depth_m[used], rcond=None)[0]
    estimate = 1 / np.maximum(scale * prediction[valid] + shift, 1e-3)
    truth = depth_m[valid]
    ratio = np.maximum(estimate / truth, truth / estimate)
    return float(np.mean(np.abs(estimate - truth) / truth)), float(np.mean(ratio < 1.25))


@pytest.fixture(scope="session")
def demo_weights(test_data: Path) -> WeightFiles:
    path = test_data / "weights" / "depth_anything_v2_vits_demo.safetensors"
    if not path.is_file():
        pytest.skip(f"no {path.name} in BRIGES_TEST_DATA")
    return WeightFiles(path)


@pytest.mark.parametrize(("height", "width"), [(518, 518), (518, 770)], ids=["padded", "canonical"])
def test_depth_of_a_real_photograph_is_right(
    demo_weights: WeightFiles, tmp_path: Path, height: int, width: int
) -> None:
    request = ExportRequest("depth-anything-v2-s", demo_weights, ((height, width),))
    export_model(request, tmp_path / "model", lambda step: None)
    build_for_onnxruntime(tmp_path / "model", tmp_path / "engine")
    image, depth_m, valid = _motorcycle()
    with DepthEstimator(tmp_path / "engine") as estimator:
        abs_rel, delta1 = _aligned_errors(estimator(image).depth, depth_m, valid)
    print(f"AbsRel {abs_rel:.3f}, delta1 {delta1:.3f} at {height}x{width}")
    assert abs_rel <= 0.13
    assert delta1 >= 0.82


@pytest.mark.slow
def test_half_precision_costs_no_accuracy_on_a_real_photograph(demo_weights: WeightFiles, tmp_path: Path) -> None:
    image, depth_m, valid = _motorcycle()
    errors = {}
    for precision in PRECISIONS:
        folder = tmp_path / precision
        export_model(ExportRequest("depth-anything-v2-s", demo_weights, precision=precision), folder, lambda step: None)
        errors[precision], _ = _aligned_errors(_emulated_depth(folder, image), depth_m, valid)
    print(f"AbsRel {errors}")
    assert errors["fp32"] <= 0.13
    assert abs(errors["fp16"] - errors["fp32"]) <= 0.002


@pytest.mark.slow
def test_real_weights_in_half_are_within_twice_the_error_of_plain_half(
    demo_weights: WeightFiles, tmp_path: Path
) -> None:
    preset = find_preset("depth-anything-v2-s")
    export_model(ExportRequest(preset.name, demo_weights, precision="fp16"), tmp_path / "model", lambda step: None)
    made = assemble(preset, demo_weights, height_px=518, width_px=518, temperature="1.0")
    consult(tmp_path / "model", made.model).check()


def _emulated_depth(folder: Path, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 [h, w] of a model in ``folder``, which an engine of its types would give."""
    spec = read_model(folder)
    graph = spec.graphs[0]
    placement = place(*image.shape[:2], graph.image, "pad")
    feed = np.empty(graph.image.shape(1), np.uint8)
    fill_depth_input(image, graph.image, placement, feed[0])
    depth = open_depth(load_graph(folder / graph.file), folder, spec.precision)({contracts.IMAGE: feed})
    return restore_size(placement.crop(depth[0, 0]), *image.shape[:2], None)
