"""The graph: exactly the contract's tensors, nothing TensorRT or a reader of the file would trip over."""

from __future__ import annotations

import getpass
import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.parity import CLEARLY_DIFFERENT, TIGHT
from support.seeded import seeded_model

from briges.export.model import DepthModel
from briges.export.parity import whole_model
from briges.export.presets import find_preset
from briges.export.to_onnx import example_inputs, image_inputs
from briges.runtime import contracts
from briges.runtime.contracts import PLUGIN_NAME
from briges.runtime.onnx_backend import OnnxBackend, open_sessions
from briges.runtime.photographs import load_photographs
from briges.runtime.sidecar import ImageInput, read_model

Tensors = dict[str, tuple[str, list[int]]]


@pytest.fixture(scope="session")
def tiny_graph(tiny_model: Path) -> onnx.ModelProto:
    return onnx.load(tiny_model / "model.onnx", load_external_data=False)


@pytest.fixture(scope="session")
def dynamic_graph(dynamic_export) -> onnx.ModelProto:
    return onnx.load(dynamic_export.folder / "model.onnx", load_external_data=False)


@pytest.fixture(scope="session")
def ungated_graph(ungated_model: Path) -> onnx.ModelProto:
    return onnx.load(ungated_model / "model.onnx", load_external_data=False)


@pytest.fixture(params=["tiny_graph", "dynamic_graph", "ungated_graph"])
def graph(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return request.getfixturevalue(request.param)


def tensors(values) -> Tensors:
    """Name, dtype and shape, as the file states them."""
    return {
        value.name: (
            onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type),
            [axis.dim_value for axis in value.type.tensor_type.shape.dim],
        )
        for value in values
    }


def run(folder: Path, **inputs: np.ndarray) -> np.ndarray:
    spec = read_model(folder)
    engines = (whole_model(spec, spec.graphs[0]),)
    backend = OnnxBackend(engines, open_sessions(folder, engines, "cpu", None))
    for name, array in inputs.items():
        backend.inputs[name][...] = array
    backend.run()
    output = backend.output.copy()
    backend.close()
    return output


def attribute(node: onnx.NodeProto, name: str) -> str:
    return next(item.s.decode() for item in node.attribute if item.name == name)


# The contract


def test_uint8_images_come_as_pixels(tiny_graph):
    assert tensors(tiny_graph.graph.input) == {
        "image": ("UINT8", [1, 126, 126, 3]),
        "semantic_image": ("UINT8", [1, 256, 256, 3]),
    }
    assert tensors(tiny_graph.graph.output) == {"depth": ("FLOAT", [1, 1, 126, 126])}


def test_float32_images_come_as_planes_and_a_dynamic_temperature_as_one_number(dynamic_graph):
    assert tensors(dynamic_graph.graph.input) == {
        "image": ("FLOAT", [1, 3, 112, 140]),
        "semantic_image": ("FLOAT", [1, 3, 256, 256]),
        "temperature": ("FLOAT", [1]),
    }
    assert tensors(dynamic_graph.graph.output) == {"depth": ("FLOAT", [1, 1, 112, 140])}


def test_an_ungated_model_has_one_image_input_and_a_batch_multiplies_every_tensor(ungated_graph):
    assert tensors(ungated_graph.graph.input) == {"image": ("UINT8", [2, 98, 126, 3])}
    assert tensors(ungated_graph.graph.output) == {"depth": ("FLOAT", [2, 1, 98, 126])}


def test_the_sidecar_describes_the_inputs_of_a_preset():
    depth, semantic = image_inputs(find_preset("briges-v2-l"), height_px=518, width_px=686, dtype="uint8")
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    assert depth == ImageInput("image", "uint8", 518, 686, mean, std, "cubic")
    assert semantic == ImageInput("semantic_image", "uint8", 1024, 1024, mean, std, "linear-antialiased-stretch")
    assert len(image_inputs(find_preset("depth-anything-v2-l"), height_px=518, width_px=518, dtype="float32")) == 1


def test_the_examples_to_trace_with_are_the_tensors_of_the_graph(dynamic_export, dynamic_graph):
    examples = example_inputs(dynamic_export.spec, dynamic_export.spec.graphs[0])
    assert {name: list(value.shape) for name, value in examples.items()} == {
        name: shape for name, (_, shape) in tensors(dynamic_graph.graph.input).items()
    }
    assert {value.dtype for value in examples.values()} == {torch.float32}


# The graph


@pytest.mark.parametrize("name", ["tiny_model", "ungated_model"])
def test_the_files_are_valid_onnx(request, name):
    onnx.checker.check_model(request.getfixturevalue(name) / "model.onnx", full_check=True)


def test_the_graph_uses_opset_18_and_the_attention_operator(graph):
    standard, *ours = [(entry.domain, entry.version) for entry in graph.opset_import]
    assert standard == ("", 18)
    assert {node.domain for node in graph.graph.node if node.op_type != PLUGIN_NAME} == {""}
    domains = {node.domain for node in graph.graph.node if node.op_type == PLUGIN_NAME}
    assert domains == {domain for domain, version in ours if version == 1}
    assert {(function.domain, function.name) for function in graph.functions} == {(d, PLUGIN_NAME) for d in domains}
    assert all(domain.startswith("briges.") for domain in domains)


def test_no_newer_onnx_than_that_of_jetpack_6_is_needed_to_read_the_graph(graph):
    assert graph.ir_version <= 10
    assert not any(item.overload for item in (*graph.graph.node, *graph.functions))


@pytest.mark.parametrize(
    ("name", "norms", "attentions"),
    [
        # Two per block, the final norm at each of four taps; with gates two per SAM block and five per gate.
        ("ungated_graph", 2 * 12 + 4, 12),
        ("tiny_graph", 2 * 4 + 4 + 2 * 2 + 4 * 5, 4 + 2 + 2 * 4),
        ("dynamic_graph", 2 * 4 + 4 + 2 * 2 + 4 * 5, 4 + 2 + 2 * 4),
    ],
)
def test_every_norm_and_every_attention_is_one_operator(request, name, norms, attentions):
    counts = Counter(node.op_type for node in request.getfixturevalue(name).graph.node)
    assert counts["LayerNormalization"] == norms
    assert counts[PLUGIN_NAME] == attentions
    assert counts["Softmax"] == 0
    assert counts["Erf"] == attentions  # one exact GELU in each block
    assert counts["ReduceMean"] == counts["Pow"] == counts["Sqrt"] == 0


def test_no_operator_is_left_that_guards_against_nothing_or_moves_with_the_data(graph):
    found = {node.op_type for node in graph.graph.node}
    unwanted = {"IsNaN", "IsInf", "Where", "If", "Loop", "Shape", "Gather", "Range", "NonZero", "Dropout"}
    assert found & unwanted == set()


def test_only_what_relative_positions_need_is_expanded_in_the_graph(graph, native_typed_tiny):
    def expanded(model: onnx.ModelProto) -> set[str]:
        return {node.name.rpartition("/")[0] for node in model.graph.node if node.op_type == "Expand"}

    assert expanded(graph) == set()
    native = onnx.load(native_typed_tiny / "model.onnx", load_external_data=False)
    assert expanded(native) == {"semantic.blocks.0.attn", "semantic.blocks.1.attn"}


def test_nothing_is_resized_cubically_and_the_head_aligns_corners(graph):
    resizes = [node for node in graph.graph.node if node.op_type == "Resize"]
    gated = len(graph.graph.input) > 1
    assert {attribute(node, "mode") for node in resizes} == {"linear"}
    modes = Counter(attribute(node, "coordinate_transformation_mode") for node in resizes)
    assert modes.pop("align_corners") == 5  # four fusion blocks and the final upsampling
    assert sum(modes.values()) == (1 if gated else 0)  # the semantic map onto the depth grid
    assert set(modes) <= {"half_pixel", "pytorch_half_pixel"}


def test_a_dynamic_temperature_reaches_the_eight_attentions_of_the_gates_and_nothing_else(dynamic_graph):
    constant = {tensor.name for tensor in dynamic_graph.graph.initializer}
    scalars, reached = {"temperature"}, []
    for node in dynamic_graph.graph.node:
        moving = set(node.input) - constant
        if moving and moving <= scalars:
            scalars |= set(node.output)
        elif moving & scalars:
            reached.append(node.op_type)
    assert reached == [PLUGIN_NAME] * 8


def test_every_node_says_which_module_it_is_of(graph):
    preset = next(entry.value for entry in graph.metadata_props if entry.key == "briges.preset")
    with torch.device("meta"):
        modules = dict(DepthModel(find_preset(preset), 126, 126).named_modules())
    paths = {node.name.rpartition("/")[0] for node in graph.graph.node}
    assert paths <= modules.keys()
    leaves = {path for path in modules if path.endswith((".qkv", ".fc1", ".fc2", ".norm1", ".proj", ".output_conv1"))}
    assert leaves - paths == set()
    assert len({node.name for node in graph.graph.node}) == len(graph.graph.node)


def test_the_tensors_where_a_model_is_split_have_the_names_of_the_contract(tiny_graph, ungated_graph):
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in onnx.shape_inference.infer_shapes(tiny_graph).graph.value_info
    }
    assert len(contracts.GEOMETRY_FEATURES) == 4
    for name in contracts.GEOMETRY_FEATURES:
        assert shapes[name] == [1, 81, 384]
    assert shapes[contracts.SEMANTIC_FEATURES] == [1, 384, 16, 16]
    made = {name for node in ungated_graph.graph.node for name in node.output}
    assert set(contracts.GEOMETRY_FEATURES) <= made
    assert contracts.SEMANTIC_FEATURES not in made


# The files


@pytest.mark.parametrize("name", ["tiny_model", "ungated_model"])
def test_the_file_tells_nothing_of_the_machine_it_was_made_on(request, name):
    folder = request.getfixturevalue(name)
    content = (folder / "model.onnx").read_bytes()
    assert b"model.geometry.blocks.0" in content  # names are readable: the search would find what it looks for
    home, here = str(Path.home()), str(Path(__file__).parents[2])
    for trace in ("site-packages", "/export/", ".py", "Traceback", "stack_trace", home, here, str(folder)):
        assert trace.encode() not in content, trace
    if len(getpass.getuser()) > 4:
        assert getpass.getuser().encode() not in content


def test_the_graph_itself_says_its_preset_and_temperature(dynamic_graph):
    noted = {entry.key: entry.value for entry in dynamic_graph.metadata_props}
    assert noted["briges.preset"] == "briges-tiny"
    assert json.loads(noted["briges.temperature"]) == {
        "mode": "dynamic",
        "cross": 1.0,
        "self_attention": 1.0,
        "learned": [],
    }


def test_the_weights_lie_beside_the_graph_in_one_file(tiny_model, tiny_graph):
    inside = [tensor for tensor in tiny_graph.graph.initializer if not tensor.external_data]
    sized = [tensor.name for tensor in inside if len(tensor.raw_data) > 256]
    assert sized == ["contract.model.geometry.positions"]  # belongs to the size, and the weights serve every size
    beside = [tensor for tensor in tiny_graph.graph.initializer if tensor.external_data]
    assert sum(len(tensor.raw_data) for tensor in inside if tensor.name not in sized) < 10_000
    assert {entry.value for tensor in beside for entry in tensor.external_data if entry.key == "location"} == {
        "model.onnx.data"
    }
    lengths = [int(entry.value) for tensor in beside for entry in tensor.external_data if entry.key == "length"]
    assert (tiny_model / "model.onnx.data").stat().st_size >= sum(lengths) > 90e6
    assert (tiny_model / "model.onnx").stat().st_size < 400_000
    files = ["model.json", "model.onnx", "model.onnx.data", "reference.npz"]
    assert sorted(path.name for path in tiny_model.iterdir()) == files


# What it computes


def test_pixels_are_normalised_inside_the_graph_as_depth_anything_does(tiny_model):
    photograph = load_photographs()[0]
    image, semantic_image = photograph[:126, :126], photograph[:256, :256]
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])

    def planes(pixels: np.ndarray) -> torch.Tensor:
        normalised = (torch.from_numpy(pixels.copy()) / 255 - mean) / std
        return normalised.permute(2, 0, 1)[None]  # [H, W, 3] -> [1, 3, H, W]

    expected = seeded_model("briges-tiny", 126, 126, seed=7)(planes(image), planes(semantic_image)).numpy()
    found = run(tiny_model, image=image, semantic_image=semantic_image)
    assert np.ptp(expected) > 0.1 * expected.max()
    assert np.abs(found - expected).max() / expected.max() < TIGHT


def test_the_temperature_input_changes_the_depth(dynamic_export):
    rng = np.random.default_rng(0)
    images = {
        "image": rng.standard_normal((1, 3, 112, 140), dtype=np.float32),
        "semantic_image": rng.standard_normal((1, 3, 256, 256), dtype=np.float32),
    }
    cold, warm = (run(dynamic_export.folder, **images, temperature=np.float32([tau])) for tau in (1.0, 3.0))
    assert np.abs(warm - cold).max() / cold.max() > CLEARLY_DIFFERENT


def test_the_images_of_a_batch_do_not_see_each_other(ungated_model):
    photographs = [photograph[:98, :126] for photograph in load_photographs()]
    first, second = (run(ungated_model, image=np.stack(pair))[:, 0] for pair in (photographs, photographs[::-1]))
    assert np.abs(first[0] - first[1]).max() / first.max() > CLEARLY_DIFFERENT
    assert np.abs(first - second[::-1]).max() / first.max() < TIGHT
