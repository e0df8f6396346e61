"""The main job on real input: weights with real activations, a real photograph, ground truth beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from briges.engines.bundle import build_onnxruntime_bundle
from briges.export.checkpoints import WeightFiles
from briges.export.exporter import ExportRequest, export_model
from briges.runtime import DepthEstimator

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


@pytest.mark.parametrize(("height", "width"), [(518, 518), (518, 770)], ids=["padded", "canonical"])
def test_depth_of_a_real_photograph_is_right(test_data: Path, tmp_path: Path, height: int, width: int) -> None:
    weights = test_data / "weights" / "depth_anything_v2_vits_demo.safetensors"
    if not weights.is_file():
        pytest.skip(f"no {weights.name} in BRIGES_TEST_DATA")
    request = ExportRequest("depth-anything-v2-s", WeightFiles(weights), height, width)
    export_model(request, tmp_path / "model", lambda step: None)
    build_onnxruntime_bundle(tmp_path / "model", tmp_path / "engine")
    image, depth_m, valid = _motorcycle()
    with DepthEstimator(tmp_path / "engine") as estimator:
        abs_rel, delta1 = _aligned_errors(estimator(image).depth, depth_m, valid)
    print(f"AbsRel {abs_rel:.3f}, delta1 {delta1:.3f} at {height}x{width}")
    assert abs_rel <= 0.13
    assert delta1 >= 0.82
