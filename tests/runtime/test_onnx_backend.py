"""The ONNX Runtime backend: what it refuses to load, and that a run reads its inputs and writes all of its output."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from support.commands import hide_modules, run_briges
from support.photographs import photograph
from support.stub_bundle import HEIGHT_PX, WIDTH_PX, build_stub_bundle, luminance

from briges.runtime.errors import BackendError, MissingExtraError
from briges.runtime.manifest import Engine, Tensor, read_manifest
from briges.runtime.onnx_backend import OnnxBackend, open_sessions

BUILD_AGAIN = "build the bundle again with `make engine` or `briges build`"
IMAGE = ("image", "uint8", (1, HEIGHT_PX, WIDTH_PX, 3))  # the stub's own


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


@pytest.fixture(scope="module")
def engine(stub: Path) -> Engine:
    return engine_of(stub)


@pytest.fixture
def backend(stub: Path) -> Iterator[OnnxBackend]:
    with contextlib.closing(opened(stub)) as made:
        yield made


def engine_of(bundle: Path) -> Engine:
    return read_manifest(bundle).engines[0]


def opened(bundle: Path, engine: Engine | None = None, threads: int | None = 1) -> OnnxBackend:
    """The whole model in ``bundle`` on the CPU; ``engine``: what the manifest is to say of it."""
    engines = (engine or engine_of(bundle),)
    return OnnxBackend(engines, open_sessions(bundle, engines, "cpu", threads))


def images(count: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, HEIGHT_PX, WIDTH_PX, 3), np.uint8)


def refusal(folder: Path, engine: Engine) -> BackendError:
    with pytest.raises(BackendError) as caught:
        opened(folder, engine)
    assert caught.value.subject == "backend onnxruntime"
    assert "Traceback" not in str(caught.value)
    assert "\n" not in caught.value.came
    return caught.value


def test_a_run_fills_all_of_the_output(backend):
    assert backend.output.shape == (1, 1, HEIGHT_PX, WIDTH_PX)
    assert backend.output.dtype == np.float32
    backend.inputs["image"][...] = images()
    backend.run()
    assert np.abs(backend.output[0, 0] - luminance(images()[0])).max() <= 1e-4


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
    backend = opened(bundle)
    backend.inputs["image"][...] = images(3)
    backend.run()
    assert np.abs(backend.output[:, 0] - [luminance(image) for image in images(3)]).max() <= 1e-4
    backend.close()


def test_the_temperature_is_1_until_it_is_set(tmp_path):
    bundle = build_stub_bundle(tmp_path, dynamic_temperature=True)
    backend = opened(bundle)
    backend.inputs["image"][...] = images()
    backend.run()
    assert np.abs(backend.output[0, 0] - luminance(images()[0])).max() <= 1e-4
    backend.inputs["temperature"][0] = 2.0
    backend.run()
    assert np.abs(backend.output[0, 0] - luminance(images()[0]) / 2).max() <= 1e-4
    backend.close()


def test_a_real_engine_writes_every_element_and_depends_on_both_inputs(tiny_bundle):
    backend = opened(tiny_bundle, threads=None)
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
def test_the_name_says_library_version_and_provider(stub, threads):
    backend = opened(stub, threads=threads)
    assert backend.name == f"onnxruntime {onnxruntime.__version__} CPU"
    backend.close()


@pytest.mark.parametrize(
    ("inputs", "tensor"),
    [
        ([("image", "uint8", (2, 56, 70, 3))], "'image': 'tensor(uint8) [2, 56, 70, 3]'"),
        ([("image", "uint8", (1, 56, 84, 3))], "'image': 'tensor(uint8) [1, 56, 84, 3]'"),
        ([("image", "float32", (1, 3, 56, 70))], "'image': 'tensor(float) [1, 3, 56, 70]'"),
        ([("image", "float16", (1, 3, 56, 70))], "'image': 'tensor(float16) [1, 3, 56, 70]'"),
        ([IMAGE, ("temperature", "float32", (1,))], "'temperature': 'tensor(float) [1]'"),
        ([IMAGE, ("semantic_image", "uint8", (1, 64, 64, 3))], "'semantic_image': 'tensor(uint8) [1, 64, 64, 3]'"),
        # Nothing of this size may be allocated on the way to the refusal.
        ([("image", "uint8", (1, 10**9, 10**9, 3))], "'image': 'tensor(uint8) [1, 1000000000, 1000000000, 3]'"),
    ],
)
def test_a_manifest_that_describes_other_inputs_is_refused(stub, engine, inputs, tensor):
    described = dataclasses.replace(engine, inputs=tuple(Tensor(*values) for values in inputs))
    error = refusal(stub, described)
    assert error.came == "the model has inputs {'image': 'tensor(uint8) [1, 56, 70, 3]'}"
    assert tensor in error.expected
    assert error.expected.endswith(", as its manifest says")
    assert error.cure == BUILD_AGAIN


def test_a_model_with_an_input_the_manifest_does_not_have_is_refused(tiny_bundle):
    engine = engine_of(tiny_bundle)
    error = refusal(tiny_bundle, dataclasses.replace(engine, inputs=engine.inputs[:1]))
    assert "'semantic_image': 'tensor(uint8) [1, 256, 256, 3]'" in error.came


def write_graph(folder: Path, nodes: list[onnx.NodeProto], output: tuple[str, int, list[int]]) -> Path:
    """``model.onnx`` with the stub's input, the constant ``table`` = [0, 1, 2] and one output, in ``folder``."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, HEIGHT_PX, WIDTH_PX, 3])
    table = numpy_helper.from_array(np.arange(3, dtype=np.float32), "table")
    graph = helper.make_graph(nodes, "test", [image], [helper.make_tensor_value_info(*output)], [table])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    return folder


@pytest.mark.parametrize(
    ("name", "kind", "shape", "came"),
    [
        ("other", TensorProto.FLOAT, [1, 3, 56, 70], "{'other': 'tensor(float) [1, 3, 56, 70]'}"),
        ("depth", TensorProto.FLOAT, [1, 3, 56, 70], "{'depth': 'tensor(float) [1, 3, 56, 70]'}"),
        ("depth", TensorProto.DOUBLE, [1, 3, 56, 70], "{'depth': 'tensor(double) [1, 3, 56, 70]'}"),
    ],
)
def test_a_model_with_another_output_is_refused(tmp_path, engine, name, kind, shape, came):
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=kind),
        helper.make_node("Transpose", ["numbers"], [name], perm=[0, 3, 1, 2]),
    ]
    error = refusal(write_graph(tmp_path, nodes, (name, kind, shape)), engine)
    assert error.came == f"the model has outputs {came}"
    assert error.expected == "outputs {'depth': 'tensor(float) [1, 1, 56, 70]'}, as its manifest says"


def test_an_engine_that_fails_while_it_runs_is_a_backend_error_and_leaves_no_older_depth(tmp_path, engine):
    nodes = [
        helper.make_node("Cast", ["image"], ["indices"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "indices"], ["gathered"]),  # 0, 1 and 2 are the indices there are
        helper.make_node("ReduceMax", ["gathered"], ["grey"], axes=[3]),
        helper.make_node("Transpose", ["grey"], ["depth"], perm=[0, 3, 1, 2]),
    ]
    write_graph(tmp_path, nodes, ("depth", TensorProto.FLOAT, [1, 1, HEIGHT_PX, WIDTH_PX]))
    backend = opened(tmp_path, engine)
    backend.run()
    assert np.isfinite(backend.output).all()
    backend.inputs["image"][...] = 200
    with pytest.raises(BackendError, match=r"inference failed: .*out of data bounds") as caught:
        backend.run()
    assert "\n" not in caught.value.came
    assert np.isnan(backend.output).all()
    backend.close()


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x00" * 1000])
def test_a_damaged_graph_is_refused_in_one_line(tmp_path, engine, content):
    (tmp_path / "model.onnx").write_bytes(content)
    error = refusal(tmp_path, engine)
    assert error.came.startswith("cannot load model.onnx: ")
    assert error.expected == "the model the manifest describes, and enough memory for it"
    assert error.cure.startswith("build the bundle again with `make engine`")


def test_a_truncated_graph_is_refused(tmp_path, stub, engine):
    content = (stub / "model.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(content[: len(content) // 2])
    assert refusal(tmp_path, engine).came.startswith("cannot load model.onnx: ")


def test_a_graph_without_its_weights_is_refused(tmp_path, tiny_bundle):
    shutil.copyfile(tiny_bundle / "model.onnx", tmp_path / "model.onnx")
    error = refusal(tmp_path, engine_of(tiny_bundle))
    assert error.came.startswith("cannot load model.onnx: ")
    assert "model.onnx.data" in error.came


def test_cuda_without_onnxruntime_gpu_names_what_to_install(stub, engine):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this is onnxruntime-gpu")
    with pytest.raises(MissingExtraError) as caught:
        open_sessions(stub, (engine,), "cuda", None)
    assert str(caught.value) == (
        "backend onnxruntime: this ONNX Runtime was built without CUDA\n"
        "  expected: onnxruntime-gpu\n"
        "  cure: pip uninstall onnxruntime, then pip install 'briges-trt[gpu]'; or use --provider cpu"
    )


def test_without_onnxruntime_the_install_line_is_told(tmp_path, stub):
    image = tmp_path / "photo.png"
    onnxless = hide_modules(tmp_path / "hidden", ["onnxruntime"])
    Image.fromarray(photograph("square")).save(image)
    done = run_briges("infer", stub, image, "--out", tmp_path / "out", path=[onnxless])
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: bundle for ONNX Runtime {onnxruntime.__version__}: the package onnxruntime is not installed, "
        "or cannot be loaded: `briges doctor` says which\n"
        "  expected: ONNX Runtime, which runs this bundle\n"
        "  cure: pip install 'briges-trt[cpu]'\n"
    )
