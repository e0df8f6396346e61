"""`briges eval` without its command: datasets whose exact answer is known, and those that have none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.depth_sets import SCALE, SHIFT, exact_depth_m, write_depth, write_exact_folder, write_image
from support.stub_bundle import build_stub_bundle, own_size

from briges.benchmarks.accuracy.rows import AccuracyRow
from briges.benchmarks.accuracy.session import EvalRequest, evaluate_all
from briges.benchmarks.records import read_rows
from briges.runtime import DepthEstimator
from briges.runtime.errors import DatasetError, UsageError


def _evaluate(bundle: Path, root: Path, dataset: str = "folder", **options: Any) -> list[AccuracyRow]:
    return list(evaluate_all(EvalRequest("briges eval", bundle, dataset, root, threads=1, **options)))


def test_depth_that_is_exact_is_found_to_be(stub: Path, tmp_path: Path) -> None:
    (row,) = _evaluate(stub, write_exact_folder(tmp_path, 3))
    assert row.means["abs_rel"].mean <= 1e-5
    assert (row.means["delta1"].low, row.means["delta1"].mean) == (1, 1)
    assert [image.name for image in row.images] == ["color/0.png", "color/1.png", "color/2.png"]
    for image in row.images:
        assert (image.scale, image.shift) == pytest.approx((SCALE, SHIFT), rel=1e-3)
    assert (row.protocol.task, row.protocol.depth_range_m, row.protocol.flip) == ("affine-invariant", (1e-3, 0), False)
    assert row.protocol.dataset == f"folder {tmp_path.name}"
    assert (row.subject.preset, row.interrupted, row.pictures) == ("stub", False, ())
    assert "onnxruntime" in row.environment.versions


def test_depth_that_is_wrong_by_a_known_amount_has_that_error(stub: Path, tmp_path: Path) -> None:
    image = own_size()
    truth = exact_depth_m(image)
    half = np.random.default_rng(0).random(truth.shape) < 0.5
    truth[half] *= 1.5  # what the fit makes of it is worked out below, by other means
    write_image(tmp_path / "a.png", image)
    write_depth(tmp_path / "a_depth.npy", truth)
    (row,) = _evaluate(stub, tmp_path)
    prediction = (image.astype(np.float64) @ [0.299, 0.587, 0.114]).ravel()
    fitted = 1 / np.polyval(np.polyfit(prediction, 1 / truth.ravel().astype(float), 1), prediction)
    expected = np.mean(np.abs(fitted / truth.ravel() - 1))
    assert row.means["abs_rel"].mean == pytest.approx(expected, rel=1e-4)
    assert expected > 0.1


def test_a_disparity_has_no_metrics_in_metres(stub: Path, tmp_path: Path) -> None:
    image = own_size()
    write_image(tmp_path / "a.png", image)
    write_depth(tmp_path / "a_depth.npy", 100 / exact_depth_m(image))
    (row,) = _evaluate(stub, tmp_path, depth_unit="disparity")
    assert row.means["abs_rel"].mean <= 1e-5
    assert not {"rmse_m", "sq_rel", "irmse_per_km"} & row.means.keys()
    assert row.protocol.dataset.endswith(", disparity")


def test_what_cannot_be_scored_is_left_out_and_says_why(stub: Path, tmp_path: Path) -> None:
    write_exact_folder(tmp_path, 4)
    write_depth(tmp_path / "depth/0.npy", np.zeros((56, 70), np.float32))
    write_depth(tmp_path / "depth/1.npy", np.ones((56, 20), np.float32))
    (tmp_path / "depth/2.npy").unlink()
    (row,) = _evaluate(stub, tmp_path)
    assert [image.skipped for image in row.images] == [
        "no pixel of its ground truth is valid",
        "image color/1.png: the photograph is 56x70 and its ground truth 56x20",
        "image color/2.png: has no ground truth",
        None,
    ]
    assert row.means["delta1"].mean == 1


def test_nan_depth_is_left_out_and_never_in_a_record(
    stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_exact_folder(tmp_path, 2)
    real = DepthEstimator.__call__

    def broken(self: DepthEstimator, image: Any, **options: Any) -> Any:
        result = real(self, image, **options)
        if np.array_equal(image, own_size(1)):
            result.depth[5, 5] = np.nan
        return result

    monkeypatch.setattr(DepthEstimator, "__call__", broken)
    (row,) = _evaluate(stub, tmp_path, json=tmp_path / "r.jsonl")
    assert [image.skipped for image in row.images] == [None, "its depth has NaN or infinite values"]
    assert "NaN" not in (tmp_path / "r.jsonl").read_text().replace("its depth has NaN", "")


def test_a_dataset_of_which_nothing_can_be_scored_is_an_error(stub: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "color/0.png", own_size())
    with pytest.raises(DatasetError) as caught:
        _evaluate(stub, tmp_path, json=tmp_path / "r.jsonl")
    assert caught.value.came == "none of its 1 images could be scored: image color/0.png: has no ground truth"
    assert not (tmp_path / "r.jsonl").exists()


def test_rows_are_written_with_pictures_and_read_back(stub: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.jsonl"
    (row,) = _evaluate(stub, write_exact_folder(tmp_path, 5), json=path, pictures=2)
    assert read_rows([path]) == [row]
    assert len(row.pictures) == 2
    assert {path.name for path in path.parent.iterdir()} == {"r.jsonl"}  # nothing partial is left


def test_every_temperature_has_a_row(stub_with_temperature: Path, tmp_path: Path) -> None:
    root = write_exact_folder(tmp_path, 1)
    rows = _evaluate(stub_with_temperature, root, temperatures=(1.0, 2.0, 5.0))
    assert [row.subject.temperature for row in rows] == [1, 2, 5]
    # Depth divided by the temperature is the same depth, up to scale.
    assert [row.images[0].scale for row in rows] == pytest.approx([SCALE, 2 * SCALE, 5 * SCALE], rel=1e-3)


def test_a_temperature_that_the_bundle_cannot_take_is_refused(stub: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="export the model with `--temperature dynamic`"):
        _evaluate(stub, write_exact_folder(tmp_path, 1), temperatures=(2.0,))


def test_two_bundles_are_compared_without_ground_truth(stub: Path, stub_with_temperature: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", own_size())
    (row,) = _evaluate(stub_with_temperature, tmp_path, reference=stub, temperatures=(2.0,))
    assert row.protocol.task == "reference"
    assert (row.protocol.depth_range_m, row.protocol.crop) == ((0, 0), None)
    assert row.protocol.reference is not None
    assert row.protocol.reference.startswith("bundle engine, manifest ")
    assert row.means["relative_l2"].mean == pytest.approx(0.5, rel=1e-5)  # half the depth
    assert row.means["aligned_abs_rel"].mean <= 1e-5


def test_two_bundles_are_compared_with_ground_truth_beside(stub: Path, tmp_path: Path) -> None:
    (row,) = _evaluate(stub, write_exact_folder(tmp_path, 1), reference=stub)
    assert row.protocol.task == "affine-invariant"
    assert row.means["relative_l2"].mean == 0
    assert row.means["delta1"].mean == 1


def test_pairs_are_scored_over_all_images(stub: Path, tmp_path: Path) -> None:
    image = np.zeros((56, 70, 3), np.uint8)
    image[:, :10] = 255
    pairs = [{"point1": [5, 5], "point2": [5, 60], "closer_point": "point1"}]
    wrong = [{"point1": [5, 5], "point2": [5, 60], "closer_point": "point2"}]
    write_image(tmp_path / "images/a.png", image)
    write_image(tmp_path / "images/b.png", image)
    (tmp_path / "annotations.json").write_text(json.dumps({"images/a.png": pairs * 3 + wrong, "images/b.png": pairs}))
    (row,) = _evaluate(stub, tmp_path, "da2k", json=tmp_path / "r.jsonl")
    assert row.means.keys() == {"pair_accuracy"}
    assert row.means["pair_accuracy"].mean == pytest.approx(4 / 5)
    assert (row.protocol.task, row.protocol.dataset, len(row.pictures)) == ("ordinal", "da2k", 2)


def test_a_multi_size_bundle_scores_images_of_any_aspect(tmp_path: Path) -> None:
    bundle = build_stub_bundle(tmp_path, sizes=((56, 70), (56, 112)))
    write_image(tmp_path / "data/a.png", own_size())
    write_depth(tmp_path / "data/a_depth.npy", exact_depth_m(own_size()))
    (row,) = _evaluate(bundle, tmp_path / "data", flip=True)
    assert row.means["delta1"].mean == 1
    assert row.protocol.flip


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"dataset": "nyu", "depth_unit": "mm"}, "--depth-unit: given with a set whose unit is known"),
        ({"dataset": "da2k", "file_list": Path("list.txt")}, "--list: given with da2k"),
        ({"flip": True, "semantic_interval": 2}, "--flip: given with a semantic interval"),
        ({"temperatures": (1.0, 2.0), "semantic_interval": 2}, "--temperature: given with a semantic interval"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        _evaluate(tmp_path / "absent", tmp_path, **options)
