"""The check every export passes: right for right models, and not to be fooled by wrong ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from briges.export.parity import check_parity, reference_depths
from briges.runtime.agreement import Agreement
from briges.runtime.errors import ExportError
from briges.runtime.photographs import photograph_feeds, read_references
from briges.runtime.sidecar import ModelSpec, read_model


def no_steps(step: str) -> None:
    pass


@pytest.fixture(scope="module")
def feeds(dynamic_export):
    return photograph_feeds(dynamic_export.spec, dynamic_export.spec.graphs[0])


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


# What passes


def check(folder: Path, spec: ModelSpec, feeds, references, on_step=no_steps) -> Agreement:
    return check_parity(folder, spec, spec.graphs[0], feeds, references, on_step)


def test_a_right_graph_passes_with_most_of_the_allowance_left(dynamic_export, feeds, references):
    steps: list[str] = []
    agreement = check(dynamic_export.folder, dynamic_export.spec, feeds, references, steps.append)
    assert agreement.max_relative_error is not None
    assert 0 < agreement.max_relative_error < 0.1 * 1e-4
    assert agreement.photographs == 2
    assert steps == [f"running ONNX Runtime on photograph {number} of 2" for number in (1, 2)]


def test_the_reference_that_travels_with_a_model_is_what_the_check_saw(tiny_model):
    spec = read_model(tiny_model)
    graph = spec.graphs[0]
    references = read_references(tiny_model, spec, graph)
    assert [reference.shape for reference in references] == [(1, 1, 126, 126)] * 2
    assert check(tiny_model, spec, photograph_feeds(spec, graph), references) == graph.agreement


def test_the_reference_is_run_once_per_photograph(dynamic_network, feeds, references):
    steps: list[str] = []
    again = reference_depths(dynamic_network, feeds[:1], steps.append)
    assert steps == ["running PyTorch on photograph 1 of 1"]
    assert np.array_equal(again[0], references[0])
    assert references[0].shape == (1, 1, 112, 140)


# What must not pass


def refusal(folder: Path, spec: ModelSpec, feeds, references) -> ExportError:
    with pytest.raises(ExportError) as caught:
        check(folder, spec, feeds, references)
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        "contract.model.geometry.blocks.0.mlp.fc1.bias",
        "contract.model.semantic.blocks.1.norm1.weight",
        "contract.model.gates.3.cross_block.norm1_y.weight",
        "contract.model.head.scratch.output_conv1.weight",
    ],
)
def test_a_graph_with_one_wrong_weight_fails(dynamic_export, damaged, feeds, references, name):
    overwrite(damaged, name, 3.0, count=30)
    error = refusal(damaged, dynamic_export.spec, feeds, references)
    assert error.subject == "exported model"
    assert error.came.startswith("differs from PyTorch on real photographs: max_relative_error ")
    assert float(error.came.split()[7].rstrip(",")) > 1e-4
    assert "at most 1e-04 allowed" in error.came
    assert error.exit_code == 1


NOT_FINITE = "differs from PyTorch on real photographs: the output has NaN or infinite values"


def test_a_graph_that_gives_nan_fails(dynamic_export, damaged, feeds, references):
    overwrite(damaged, "contract.model.head.scratch.output_conv1.weight", np.nan)
    assert refusal(damaged, dynamic_export.spec, feeds, references).came == NOT_FINITE


def test_a_graph_that_gives_nan_for_the_first_photograph_only_fails(dynamic_export, feeds, references):
    first_is_nan = [feeds[0] | {"temperature": np.float32([np.nan])}, feeds[1]]
    assert refusal(dynamic_export.folder, dynamic_export.spec, first_is_nan, references).came == NOT_FINITE


def test_a_graph_that_ignores_its_temperature_fails(dynamic_export, dynamic_network, feeds):
    assert feeds[1]["temperature"] == 3.0
    references = reference_depths(dynamic_network, [feeds[1] | {"temperature": np.float32([1.0])}], no_steps)
    assert refusal(dynamic_export.folder, dynamic_export.spec, feeds[1:], references).came.startswith("differs")


# What PyTorch itself must not give


class _Gives(torch.nn.Module):
    """In a model's place: the same depth for every photograph."""

    def __init__(self, depth: torch.Tensor) -> None:
        super().__init__()
        self.depth = depth

    def forward(self, **_feed: torch.Tensor) -> torch.Tensor:
        return self.depth


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_flat_depth_fails_although_it_would_agree_with_anything_flat(feeds, value):
    with pytest.raises(ExportError) as caught:
        reference_depths(_Gives(torch.full((1, 1, 112, 140), value)), feeds, no_steps)
    assert caught.value.came == f"gives the constant depth {float(np.float32(value))} for a photograph"
    assert caught.value.expected == "finite depth that varies"
    assert caught.value.cure == "its weights are dead: take another checkpoint"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_that_is_not_finite_in_a_single_pixel_fails(feeds, value):
    depth = torch.rand(1, 1, 112, 140)
    depth[0, 0, 5, 7] = value
    with pytest.raises(ExportError) as caught:
        reference_depths(_Gives(depth), feeds, no_steps)
    assert caught.value.came == "gives NaN or infinite depth in PyTorch itself for a photograph"
    assert caught.value.cure == "its weights overflow: take another checkpoint"
