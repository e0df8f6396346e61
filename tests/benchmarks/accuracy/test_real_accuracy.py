"""Weights with real activations, photographs, and depth that was measured: nothing here is known but by measuring."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.building import build_for_onnxruntime
from support.depth_sets import write_depth, write_image

from briges.benchmarks.accuracy.rows import AccuracyRow
from briges.benchmarks.accuracy.session import EvalRequest, evaluate_all
from briges.export.checkpoints import WeightFiles
from briges.export.exporter import ExportRequest, export_model

# Calibration of the scene: depth_m = focal_px * baseline_m / (disparity + offset_px), from skimage's documentation.
FOCAL_PX, BASELINE_M, OFFSET_PX = 994.978, 0.193001, 31.086


@pytest.fixture(scope="session")
def demo_bundle(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Depth Anything V2 Small with demonstration weights, at 4:3 and at the motorcycle's canonical size."""
    weights = test_data / "weights" / "depth_anything_v2_vits_demo.safetensors"
    if not weights.is_file():
        pytest.skip(f"no {weights.name} in BRIGES_TEST_DATA")
    folder = tmp_path_factory.mktemp("demo")
    request = ExportRequest("depth-anything-v2-s", WeightFiles(weights), ((518, 686), (518, 770)))
    export_model(request, folder / "model", lambda step: None)
    build_for_onnxruntime(folder / "model", folder / "engine")
    return folder / "engine"


def _evaluate(bundle: Path, root: Path, *, flip: bool = False) -> AccuracyRow:
    (row,) = evaluate_all(EvalRequest("", bundle, "folder", root, flip=flip))
    print({name: round(mean.mean, 4) for name, mean in row.means.items()})
    return row


def test_the_motorcycle_has_the_accuracy_of_the_reference_implementation(demo_bundle: Path, tmp_path: Path) -> None:
    import skimage.data

    image, _, disparity = skimage.data.stereo_motorcycle()
    depth_m = np.where(np.isfinite(disparity), FOCAL_PX * BASELINE_M / (disparity + OFFSET_PX), 0)
    write_image(tmp_path / "motorcycle.png", image)
    write_depth(tmp_path / "motorcycle_depth.npy", depth_m.astype(np.float32))
    row = _evaluate(demo_bundle, tmp_path)
    assert row.means["abs_rel"].mean == pytest.approx(0.118, abs=0.002)
    assert row.means["delta1"].mean == pytest.approx(0.839, abs=0.005)


def test_five_frames_of_a_room_are_better_than_a_depth_that_is_the_same_everywhere(
    demo_bundle: Path, test_data: Path
) -> None:
    row = _evaluate(demo_bundle, test_data / "rgbd")
    constant = [_abs_rel_of_a_constant(test_data / "rgbd" / "depth" / f"{number}.pgm") for number in range(1, 6)]
    print("the same everywhere", np.round(constant, 4))
    assert [image.name for image in row.images] == [f"color/{number}.png" for number in range(1, 6)]
    assert all(image.metrics["abs_rel"] < other for image, other in zip(row.images, constant, strict=True))
    assert row.means["abs_rel"].mean < 0.7 * np.mean(constant)
    flipped = _evaluate(demo_bundle, test_data / "rgbd", flip=True)
    assert 0 < abs(flipped.means["abs_rel"].mean - row.means["abs_rel"].mean) < 0.02


def _abs_rel_of_a_constant(path: Path) -> float:
    """Of the depth whose inverse fits best by least squares."""
    depth_m = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(float) / 1000
    truth = depth_m[depth_m > 0]
    return float(np.mean(np.abs(1 / np.mean(1 / truth) - truth) / truth))
