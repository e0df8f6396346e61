"""The ONNX Runtime backend: what it refuses to load, and that a run reads its inputs and writes all of its output."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.commands import hide_modules, run_briges
from support.photographs import photograph
from support.specs import depth_spec, semantic_spec
from support.stub_bundle import HEIGHT_PX, WIDTH_PX, build_stub_bundle, luminance

from briges.runtime.errors import BackendError, MissingExtraError
from briges.runtime.manifest import ModelSpec, Temperature, read_manifest
from briges.runtime.onnx_backend import OnnxBackend

BUILD_AGAIN = "build the bundle again with `make engine` or `briges build`"


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


@pytest.fixture(scope="module")
def spec(stub: Path) -> ModelSpec:
    return read_manifest(stub).model


@pytest.fixture
def backend(stub: Path, spec: ModelSpec) -> Iterator[OnnxBackend]:
    made = OnnxBackend(stub / "model.onnx", spec, "cpu", 1)
    yield made
    made.close()


def images(count: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, HEIGHT_PX, WIDTH_PX, 3), np.uint8)


def refusal(path: Path, spec: ModelSpec) -> BackendError:
    with pytest.raises(BackendError) as caught:
        OnnxBackend(path, spec, "cpu", 1)
    assert caught.value.subject == "backend onnxruntime"
    assert "Traceback" not in str(caught.value)
    assert "\n" not in caught.value.came
    return caught.value


def test_a_run_fills_all_of_the_output_and_a_failed_one_leaves_no_older_depth(backend):
    assert backend.output.shape == (1, 1, HEIGHT_PX, WIDTH_PX)
    assert backend.output.dtype == np.float32
    backend.inputs["image"][...] = images()
    backend.run()
    assert np.abs(backend.output[0, 0] - luminance(images()[0])).max() <= 1e-4
    backend.inputs["image"] = backend.inputs["image"][:, :1].copy()
    with pytest.raises(BackendError, match="inference failed"):
        backend.run()
    assert np.isnan(backend.output).all()


def test_each_run_reads_the_inputs_anew_and_overwrites_the_output(backend):
    output, image = backend.output, backend.inputs["image"]
    for seed in range(3):
        image[...] = images(seed=seed)
        output.fill(np.nan)
        backend.run()
        assert np.abs(output[0, 0] - luminance(images(seed=seed)[0])).max() <= 1e-4
    assert backend.output is output
    assert backend.inputs["image"] is image


def test_every_image_of_a_batch_has_its_own_slot(tmp_path):
    bundle = build_stub_bundle(tmp_path, batch=3)
    backend = OnnxBackend(bundle / "model.onnx", read_manifest(bundle).model, "cpu", 1)
    backend.inputs["image"][...] = images(3)
    backend.run()
    assert np.abs(backend.output[:, 0] - [luminance(image) for image in images(3)]).max() <= 1e-4
    backend.close()


def test_the_temperature_is_1_until_it_is_set(tmp_path):
    bundle = build_stub_bundle(tmp_path, dynamic_temperature=True)
    backend = OnnxBackend(bundle / "model.onnx", read_manifest(bundle).model, "cpu", 1)
    backend.inputs["image"][...] = images()
    backend.run()
    assert np.abs(backend.output[0, 0] - luminance(images()[0])).max() <= 1e-4
    backend.inputs["temperature"][0] = 2.0
    backend.run()
    assert np.abs(backend.output[0, 0] - luminance(images()[0]) / 2).max() <= 1e-4
    backend.close()


def test_a_real_engine_writes_every_element_and_depends_on_both_inputs(tiny_bundle):
    manifest = read_manifest(tiny_bundle)
    backend = OnnxBackend(tiny_bundle / manifest.engine, manifest.model, "auto", None)
    outputs = []
    for name in (None, "image", "semantic_image"):
        if name:
            height, width = backend.inputs[name].shape[1:3]
            backend.inputs[name][0] = photograph("square")[:height, :width]
        backend.output.fill(np.nan)
        backend.run()
        assert np.isfinite(backend.output).all()
        outputs.append(backend.output.copy())
    assert np.abs(outputs[1] - outputs[0]).max() > 0.01
    assert np.abs(outputs[2] - outputs[1]).max() > 0.01
    backend.close()


@pytest.mark.parametrize("threads", [1, 2, None])
def test_the_name_says_library_version_and_provider(stub, spec, threads):
    backend = OnnxBackend(stub / "model.onnx", spec, "cpu", threads)
    assert backend.name == f"onnxruntime {onnxruntime.__version__} CPU"
    backend.close()


@pytest.mark.parametrize(
    ("changes", "tensor"),
    [
        ({"batch": 2}, "'image': 'tensor(uint8) [2, 56, 70, 3]'"),
        ({"inputs": (depth_spec(56, 84),)}, "'image': 'tensor(uint8) [1, 56, 84, 3]'"),
        ({"inputs": (depth_spec(56, 70, "float32"),)}, "'image': 'tensor(float) [1, 3, 56, 70]'"),
        ({"inputs": (depth_spec(56, 70), semantic_spec(64))}, "'semantic_image': 'tensor(uint8) [1, 64, 64, 3]'"),
        ({"temperature": Temperature("dynamic", 1.0, 1.0, ())}, "'temperature': 'tensor(float) [1]'"),
        # Nothing of this size may be allocated on the way to the refusal.
        ({"inputs": (depth_spec(10**9, 10**9),)}, "'image': 'tensor(uint8) [1, 1000000000, 1000000000, 3]'"),
    ],
)
def test_a_manifest_that_describes_other_inputs_is_refused(stub, spec, changes, tensor):
    error = refusal(stub / "model.onnx", dataclasses.replace(spec, **changes))
    assert error.came == "the model has inputs {'image': 'tensor(uint8) [1, 56, 70, 3]'}"
    assert tensor in error.expected
    assert error.expected.endswith(", as its manifest says")
    assert error.cure == BUILD_AGAIN


def test_a_model_with_an_input_the_manifest_does_not_have_is_refused(tiny_bundle):
    spec = read_manifest(tiny_bundle).model
    error = refusal(tiny_bundle / "model.onnx", dataclasses.replace(spec, inputs=spec.inputs[:1]))
    assert "'semantic_image': 'tensor(uint8) [1, 256, 256, 3]'" in error.came


def write_graph(path: Path, nodes: list[onnx.NodeProto], output: tuple[str, int, list[int]]) -> Path:
    """A model with the stub's input, the constant ``table`` = [0, 1, 2] and one output."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT_PX, WIDTH_PX, 3])
    table = numpy_helper.from_array(np.arange(3, dtype=np.float32), "table")
    graph = helper.make_graph(nodes, "test", [image], [helper.make_tensor_value_info(*output)], [table])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.mark.parametrize(
    ("name", "kind", "shape", "came"),
    [
        ("other", TensorProto.FLOAT, [1, 3, 56, 70], "{'other': 'tensor(float) [1, 3, 56, 70]'}"),
        ("depth", TensorProto.FLOAT, [1, 3, 56, 70], "{'depth': 'tensor(float) [1, 3, 56, 70]'}"),
        ("depth", TensorProto.DOUBLE, [1, 3, 56, 70], "{'depth': 'tensor(double) [1, 3, 56, 70]'}"),
    ],
)
def test_a_model_with_another_output_is_refused(tmp_path, spec, name, kind, shape, came):
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=kind),
        helper.make_node("Transpose", ["numbers"], [name], perm=[0, 3, 1, 2]),
    ]
    error = refusal(write_graph(tmp_path / "model.onnx", nodes, (name, kind, shape)), spec)
    assert error.came == f"the model has outputs {came}"
    assert error.expected == "outputs {'depth': 'tensor(float) [1, 1, 56, 70]'}, as its manifest says"


def test_an_engine_that_fails_while_it_runs_is_a_backend_error(tmp_path, spec):
    nodes = [
        helper.make_node("Cast", ["image"], ["indices"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "indices"], ["gathered"]),  # 0, 1 and 2 are the indices there are
        helper.make_node("ReduceMax", ["gathered"], ["grey"], axes=[3]),
        helper.make_node("Transpose", ["grey"], ["depth"], perm=[0, 3, 1, 2]),
    ]
    path = write_graph(tmp_path / "model.onnx", nodes, ("depth", TensorProto.FLOAT, [1, 1, HEIGHT_PX, WIDTH_PX]))
    backend = OnnxBackend(path, spec, "cpu", 1)
    backend.run()
    backend.inputs["image"][...] = 200
    with pytest.raises(BackendError, match=r"inference failed: .*out of data bounds") as caught:
        backend.run()
    assert "\n" not in caught.value.came
    backend.close()


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x00" * 1000])
def test_a_damaged_graph_is_refused_in_one_line(tmp_path, spec, content):
    (tmp_path / "model.onnx").write_bytes(content)
    error = refusal(tmp_path / "model.onnx", spec)
    assert error.came.startswith("cannot load model.onnx: ")
    assert error.expected == "the model the manifest describes, and enough memory for it"
    assert error.cure.startswith("build the bundle again with `make engine`")


def test_a_truncated_graph_is_refused(tmp_path, stub, spec):
    content = (stub / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(content[: len(content) // 2])
    assert refusal(tmp_path / "model.onnx", spec).came.startswith("cannot load model.onnx: ")


def test_a_graph_without_its_weights_is_refused(tmp_path, tiny_bundle):
    shutil.copyfile(tiny_bundle / "model.onnx", tmp_path / "model.onnx")
    error = refusal(tmp_path / "model.onnx", read_manifest(tiny_bundle).model)
    assert error.came.startswith("cannot load model.onnx: ")
    assert "model.onnx.data" in error.came


def test_cuda_without_onnxruntime_gpu_names_what_to_install(stub, spec):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this is onnxruntime-gpu")
    with pytest.raises(MissingExtraError) as caught:
        OnnxBackend(stub / "model.onnx", spec, "cuda", None)
    assert str(caught.value) == (
        "backend onnxruntime: this ONNX Runtime was built without CUDA\n"
        "  expected: onnxruntime-gpu\n"
        "  cure: pip uninstall onnxruntime, then pip install 'briges-trt[gpu]'; or use --provider cpu"
    )


def test_without_onnxruntime_the_install_line_is_told(tmp_path, stub):
    image = tmp_path / "photo.png"
    onnxless = hide_modules(tmp_path / "hidden", ["onnxruntime"])
    from PIL import Image

    Image.fromarray(photograph("square")).save(image)
    done = run_briges("infer", stub, image, "--out", tmp_path / "out", path=[onnxless])
    assert done.returncode == 1
    assert done.stderr == (
        "Error: backend onnxruntime: the package onnxruntime is not installed\n"
        "  expected: ONNX Runtime, which runs this bundle\n"
        "  cure: pip install 'briges-trt[cpu]', or 'briges-trt[gpu]' for CUDA\n"
    )
