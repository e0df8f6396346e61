"""The check every export passes: right for right models, and not to be fooled by wrong ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from briges.export.parity import MAX_RELATIVE_ERROR, check_parity, photograph_feeds, reference_depths, relative_error
from briges.runtime.errors import ExportError
from briges.runtime.manifest import ModelSpec, Parity, read_model
from briges.runtime.photographs import load_photographs


def no_steps(step: str) -> None:
    pass


@pytest.fixture(scope="module")
def feeds(dynamic_export):
    return photograph_feeds(dynamic_export.spec)


@pytest.fixture(scope="module")
def references(dynamic_network, feeds):
    return reference_depths(dynamic_network, feeds, no_steps)


@pytest.fixture
def damaged(dynamic_export, tmp_path: Path) -> Iterator[Path]:
    """A copy of the model folder to do harm to."""
    folder = tmp_path / "model"
    shutil.copytree(dynamic_export.folder, folder)
    yield folder
    shutil.rmtree(folder)


def overwrite(folder: Path, name: str, value: float, count: int = 1) -> None:
    """Overwrite the first numbers of one weight in the exported data file."""
    graph = onnx.load(folder / "model.onnx", load_external_data=False).graph
    tensor = next(item for item in graph.initializer if item.name == name)
    offset = next(int(entry.value) for entry in tensor.external_data if entry.key == "offset")
    with (folder / "model.onnx.data").open("r+b") as stream:
        stream.seek(offset)
        stream.write(np.full(count, value, np.float32).tobytes())


# What it is fed


def test_the_feeds_are_the_photographs_as_the_runtime_prepares_them(feeds):
    assert len(feeds) == len(load_photographs()) == 2
    for feed in feeds:
        assert {name: (array.dtype, array.shape) for name, array in feed.items()} == {
            "image": (np.float32, (1, 3, 112, 140)),
            "semantic_image": (np.float32, (1, 3, 256, 256)),
            "temperature": (np.float32, (1,)),
        }
        assert np.isfinite(feed["image"]).all()
        assert feed["image"].std() > 0.1


def test_a_dynamic_temperature_is_fed_two_values(feeds):
    assert [float(feed["temperature"][0]) for feed in feeds] == [1.0, 3.0]


def test_a_batch_holds_different_photographs(ungated_model):
    first, second = photograph_feeds(read_model(ungated_model))
    assert first["image"].shape == (2, 98, 126, 3)
    assert first["image"].dtype == np.uint8
    assert not np.array_equal(first["image"][0], first["image"][1])
    assert np.array_equal(first["image"], second["image"][::-1])
    assert set(first) == {"image"}


# What passes


def test_a_right_graph_passes_with_most_of_the_allowance_left(dynamic_export, feeds, references):
    steps: list[str] = []
    parity = check_parity(dynamic_export.folder / "model.onnx", dynamic_export.spec, feeds, references, steps.append)
    assert parity == Parity(parity.max_relative_error, MAX_RELATIVE_ERROR, 2)
    assert 0 < parity.max_relative_error < 0.1 * MAX_RELATIVE_ERROR
    assert steps == [f"running ONNX Runtime on photograph {number} of 2" for number in (1, 2)]


def test_the_reference_is_run_once_per_photograph(dynamic_network, feeds, references):
    steps: list[str] = []
    again = reference_depths(dynamic_network, feeds[:1], steps.append)
    assert steps == ["running PyTorch on photograph 1 of 1"]
    assert np.array_equal(again[0], references[0])
    assert references[0].shape == (1, 1, 112, 140)


# What must not pass


def refusal(folder: Path, spec: ModelSpec, feeds, references) -> ExportError:
    with pytest.raises(ExportError) as caught:
        check_parity(folder / "model.onnx", spec, feeds, references, no_steps)
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        "model.geometry.blocks.0.mlp.fc1.bias",
        "model.semantic.blocks.1.norm1.weight",
        "model.gates.3.cross_block.norm1_y.weight",
        "model.head.scratch.output_conv1.weight",
    ],
)
def test_a_graph_with_one_wrong_weight_fails(dynamic_export, damaged, feeds, references, name):
    overwrite(damaged, name, 3.0, count=30)
    error = refusal(damaged, dynamic_export.spec, feeds, references)
    assert error.subject == "exported model"
    assert error.came.startswith("differs from PyTorch by ")
    assert float(error.came.split()[4]) > MAX_RELATIVE_ERROR
    assert (error.expected, error.exit_code) == ("at most 1e-04", 1)


def test_a_graph_that_gives_nan_fails(dynamic_export, damaged, feeds, references):
    overwrite(damaged, "model.head.scratch.output_conv1.weight", np.nan)
    assert "by nan relative" in refusal(damaged, dynamic_export.spec, feeds, references).came


def test_a_graph_that_gives_nan_for_the_first_photograph_only_fails(dynamic_export, feeds, references):
    first_is_nan = [feeds[0] | {"temperature": np.float32([np.nan])}, feeds[1]]
    error = refusal(dynamic_export.folder, dynamic_export.spec, first_is_nan, references)
    assert "by nan relative" in error.came


def test_a_model_that_gives_nan_fails_although_the_graph_does_not(dynamic_export, feeds, references):
    broken = [references[0], np.where(references[1] > references[1].mean(), np.nan, references[1])]
    assert "NaN or infinite depth in PyTorch" in refusal(dynamic_export.folder, dynamic_export.spec, feeds, broken).came


def test_a_graph_that_ignores_its_temperature_fails(dynamic_export, dynamic_network, feeds):
    assert feeds[1]["temperature"] == 3.0
    references = reference_depths(dynamic_network, [feeds[1] | {"temperature": np.float32([1.0])}], no_steps)
    assert refusal(dynamic_export.folder, dynamic_export.spec, feeds[1:], references).came.startswith("differs")


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_flat_depth_fails_although_it_would_agree_with_anything_flat(dynamic_export, feeds, references, value):
    flat = [np.full_like(reference, value) for reference in references]
    error = refusal(dynamic_export.folder, dynamic_export.spec, feeds, flat)
    assert error.came == f"gives the constant depth {np.float32(value)} for a photograph"
    assert error.expected == "finite depth that varies"


def test_the_error_is_relative_to_the_largest_depth():
    reference = np.float32([[0.0, 4.0]])
    assert relative_error(reference + np.float32(0.5), reference) == 0.125
    assert relative_error(reference, reference) == 0.0
    assert np.isnan(relative_error(np.float32([[np.nan, 4.0]]), reference))
    with pytest.raises(ExportError, match=r"constant depth 4\.0"):
        relative_error(reference, np.float32([[4.0, 4.0]]))
