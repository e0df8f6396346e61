"""ONNX to plan with the real TensorRT-RTX builder: what comes out, and what is refused with which words."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorrt_rtx
from onnx import TensorProto
from support.commands import environment
from support.tiny_graphs import WIDTH, write_attention_graph, write_nodes, write_product

from briges.engines.job import BuiltPlan, PlanJob
from briges.engines.network import build
from briges.engines.spec import EngineSpec
from briges.runtime.errors import BuildError, OutputError
from briges.runtime.manifest import Tensor


def unwatched(*step: object) -> bool:
    return len(step) == 3


@pytest.fixture
def built(tmp_path: Path) -> Callable[..., BuiltPlan]:
    """Builds a graph into `plan` of the temporary folder, its log into `log`."""

    def run(graph: Path, **options: object) -> BuiltPlan:
        with (tmp_path / "log").open("w") as log:
            job = PlanJob(str(graph), str(tmp_path / "plan"), EngineSpec("tensorrt-rtx", **options))
            return build(job, unwatched, log.write)

    return run


@pytest.fixture
def refusal(built: Callable[..., BuiltPlan], tmp_path: Path) -> Callable[..., BuildError]:
    """The error of a build that fails, and has left no plan."""

    def run(graph: Path, **options: object) -> BuildError:
        with pytest.raises(BuildError) as caught:
            built(graph, **options)
        assert not (tmp_path / "plan").exists()
        return caught.value

    return run


def test_a_half_precision_graph_of_uint8_images_becomes_a_plan(built, tmp_path):
    plan = built(write_attention_graph(tmp_path / "graph.onnx", blocks=2))
    assert plan.flavour_version == tensorrt_rtx.__version__
    assert plan.inputs == (Tensor("image", "uint8", (1, 16, WIDTH)),)
    assert plan.outputs == (Tensor("depth", "float32", (1, 16, WIDTH)),)
    assert plan.plan_bytes == (tmp_path / "plan").stat().st_size > 50_000
    assert (plan.layers["MATRIX_MULTIPLY"], plan.layers["SOFTMAX"], plan.layers["CAST"]) == (10, 2, 2)
    assert list(plan.layers) == sorted(plan.layers)
    assert 0 < plan.build_s < 60


def test_the_builders_own_figures_come_from_its_log(built, tmp_path):
    plan = built(write_attention_graph(tmp_path / "graph.onnx"))
    log = (tmp_path / "log").read_text()
    assert [plan.activation_bytes] == [int(n) for n in re.findall(r"Total Activation Memory: (\d+) bytes", log)]
    assert [plan.weights_bytes] == [int(n) for n in re.findall(r"Total Weights Memory: (\d+) bytes", log)]
    assert plan.activation_bytes > 16 * WIDTH * 2
    assert 2 * WIDTH**2 <= plan.weights_bytes < 20 * WIDTH**2
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Z_]+ |    |$", line) for line in log.split("\n"))


def test_the_same_graph_gives_the_same_plan(built, tmp_path):
    graph = write_attention_graph(tmp_path / "graph.onnx")
    built(graph)
    first = (tmp_path / "plan").read_bytes()
    built(graph)
    assert (tmp_path / "plan").read_bytes() == first


def test_engines_are_compiled_for_the_gpus_asked_for(built, tmp_path):
    graph = write_attention_graph(tmp_path / "graph.onnx")
    plan = built(graph, compute_capabilities=("7.5", "8.9"))
    assert plan.compute_capabilities == ("7.5", "8.9")
    assert set(re.findall(rb"sm\d\d+", (tmp_path / "plan").read_bytes())) == {b"sm75", b"sm89"}
    plan = built(graph)  # which runs on everything from Ampere on, compiled once
    assert plan.compute_capabilities == ("8.0", "8.6", "8.9", "12.0", "12.1")
    assert set(re.findall(rb"sm\d\d+", (tmp_path / "plan").read_bytes())) == {b"sm80"}


@pytest.mark.parametrize(("dtype", "name"), [(TensorProto.FLOAT, "float32"), (TensorProto.BFLOAT16, "bfloat16")])
def test_graphs_keep_their_types(built, tmp_path, dtype, name):
    plan = built(write_nodes(tmp_path / "graph.onnx", ["Relu"], dtype=dtype))
    assert (*plan.inputs, *plan.outputs) == (Tensor("x", name, (1, 4)), Tensor("y", name, (1, 4)))


def test_weights_beside_the_graph_are_read(built, tmp_path):
    graph = write_attention_graph(tmp_path / "graph.onnx", weights_beside=True)
    built(graph)
    first = (tmp_path / "plan").read_bytes()
    other = write_attention_graph(tmp_path / "other.onnx", weights_beside=True, seed=1)
    (tmp_path / "other.onnx.data").replace(tmp_path / "graph.onnx.data")
    other.unlink()
    built(graph)
    assert (tmp_path / "plan").read_bytes() != first


@pytest.mark.parametrize("kept", [None, 100])
def test_missing_and_cut_weights_beside_the_graph_are_refused(refusal, tmp_path, kept):
    graph = write_attention_graph(tmp_path / "graph.onnx", weights_beside=True)
    data = tmp_path / "graph.onnx.data"
    content = data.read_bytes()
    data.unlink()
    if kept is not None:
        data.write_bytes(content[:kept])
    error = refusal(graph)
    assert "Failed to import initializer: w" in error.came
    assert error.cure.startswith("the weights beside the graph are missing or not whole: export the model again")


def test_unknown_operators_are_all_named_with_their_nodes(refusal, tmp_path):
    error = refusal(write_nodes(tmp_path / "graph.onnx", ["Relu", "Frobnicate", "Twiddle"], domain="org.example"))
    assert str(error) == (
        f"engine of {tmp_path}/graph.onnx: TensorRT cannot parse it:\n"
        "    node /net/1 (Frobnicate): TensorRT has no operator and no plugin named Frobnicate\n"
        "    node /net/2 (Twiddle): TensorRT has no operator and no plugin named Twiddle\n"
        "  expected: operators, types and shapes that TensorRT knows\n"
        "  cure: export the model again with `briges export`, or use --flavour onnxruntime"
    )


def test_of_very_many_problems_the_first_ten_are_shown(refusal, tmp_path):
    error = refusal(write_nodes(tmp_path / "graph.onnx", ["Frobnicate"] * 25, domain="org.example"))
    assert error.came.count("node /net/") == 10
    assert error.came.endswith("and 15 more")


def test_an_operator_of_onnx_that_tensorrt_lacks_is_named(refusal, tmp_path):
    error = refusal(write_nodes(tmp_path / "graph.onnx", ["Det"], shape=(4, 4)))
    assert "node /net/0 (Det): TensorRT does not support the operator Det" in error.came
    assert "--flavour onnxruntime" in error.cure


def test_an_impossible_shape_is_refused(refusal, tmp_path):
    error = refusal(write_product(tmp_path / "graph.onnx", np.ones((5, 4), np.float32)))
    assert "node /net/product (MatMul): " in error.came
    assert "last dimension of input0 = 4 and second to last dimension of input1 = 5 but must match" in error.came
    assert "cudaError" not in error.came  # said on every machine without a GPU
    assert error.cure.startswith("its sizes contradict each other: export the model again")


def test_a_half_typed_graph_is_refused(refusal, tmp_path):
    error = refusal(write_product(tmp_path / "graph.onnx", np.ones((4, 4), np.float16)))
    assert "`A` is of type Float and `B` is of type Half" in error.came
    assert error.cure.startswith("TensorRT converts no types by itself")


def test_arithmetic_on_uint8_is_refused(refusal, tmp_path):
    error = refusal(write_nodes(tmp_path / "graph.onnx", ["Relu"], dtype=TensorProto.UINT8))
    assert "node /net/0 (Relu): " in error.came
    assert "Found unsupported input type of UINT8" in error.came
    assert error.cure.startswith("TensorRT converts no types by itself")


@pytest.mark.parametrize(
    ("shape", "dtype", "came"),
    [
        (("batch", 4), TensorProto.FLOAT, "its tensor 'x' is FLOAT of shape [-1, 4]"),
        ((1, 4), TensorProto.INT32, "its tensor 'x' is INT32 of shape [1, 4]"),
    ],
)
def test_tensors_no_runtime_of_ours_could_feed_are_refused(refusal, tmp_path, shape, dtype, came):
    error = refusal(write_nodes(tmp_path / "graph.onnx", ["Identity"], shape=shape, dtype=dtype))
    assert (error.came, error.cure) == (came, "export it with `briges export`, which fixes every size")
    assert error.expected == "a fixed shape, and one of uint8, float32, float16, bfloat16"


@pytest.mark.parametrize("content", [b"", b"no ONNX at all, " * 20, b"\x00" * 1000])
def test_a_file_that_is_no_onnx_is_refused(refusal, tmp_path, content):
    (tmp_path / "graph.onnx").write_bytes(content)
    error = refusal(tmp_path / "graph.onnx")
    assert "no ONNX model" in error.came or "cannot parse it" in error.came
    assert "`briges export`" in error.cure


def test_a_file_that_is_not_there_is_refused(refusal, tmp_path):
    error = refusal(tmp_path / "graph.onnx")
    assert "Input file cannot be found" in error.came
    assert error.cure == "check the path"


def test_too_small_a_workspace_is_told_with_the_option_to_raise(refusal, tmp_path):
    error = refusal(write_attention_graph(tmp_path / "graph.onnx"), workspace_bytes=1 << 20)
    assert "no tactics to implement the operation within workspace limit" in error.came
    assert error.cure == "raise --workspace-bytes, or leave it out"


def test_weights_cannot_be_stripped_without_a_gpu(refusal, tmp_path):
    if _has_gpu():
        pytest.skip("this machine has a GPU")
    error = refusal(write_attention_graph(tmp_path / "graph.onnx"), strip_weights=True)
    assert error.cure == "this needs an NVIDIA GPU with its driver in the machine that builds"


def test_a_builder_that_cannot_be_made_is_told_with_the_log(refusal, tmp_path, monkeypatch):
    # TensorRT, which is not to be had here, does this without a GPU; TensorRT-RTX never does.
    class NoBuilder:
        def __init__(self, logger: tensorrt_rtx.ILogger) -> None:
            logger.log(tensorrt_rtx.ILogger.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    library = SimpleNamespace(ILogger=tensorrt_rtx.ILogger, Builder=NoBuilder)
    monkeypatch.setattr("briges.engines.network.load", lambda flavour: library)
    error = refusal(tmp_path / "graph.onnx")
    assert error.came == "TensorRT cannot build it:\n    CUDA initialization failure with error: 35"
    assert error.cure == "this needs an NVIDIA GPU with its driver in the machine that builds"


def test_a_build_nobody_listens_to_ends(tmp_path):
    graph = write_attention_graph(tmp_path / "graph.onnx")
    job = PlanJob(str(graph), str(tmp_path / "plan"), EngineSpec("tensorrt-rtx"))
    with pytest.raises(BuildError, match="Build canceled by user"):
        build(job, lambda phase, done, total: phase != "Optimizing graph", lambda text: None)
    assert not (tmp_path / "plan").exists()


def test_progress_counts_up_to_the_whole_of_each_phase(tmp_path):
    graph = write_attention_graph(tmp_path / "graph.onnx")
    seen: list[tuple[str, int, int]] = []
    job = PlanJob(str(graph), str(tmp_path / "plan"), EngineSpec("tensorrt-rtx"))
    build(job, lambda *step: seen.append(step) is None, lambda text: None)
    assert (seen[0], seen[-1]) == (("reading the graph", 0, 1), ("saving the plan", 0, 1))
    steps = [(done, total) for phase, done, total in seen if phase == "Optimizing graph"]
    assert steps == [(done, steps[0][1]) for done in range(steps[0][1] + 1)]
    assert all(0 <= done <= total for _, done, total in seen)


def test_a_disk_that_fills_up_while_the_plan_is_saved_is_told(built, tmp_path):
    (tmp_path / "plan").symlink_to("/dev/full")
    with pytest.raises(OutputError) as caught:
        built(write_attention_graph(tmp_path / "graph.onnx"))
    assert caught.value.came == "cannot be written: No space left on device"


_STARVED = """
import resource, sys
from briges.engines.job import PlanJob
from briges.engines.network import build
from briges.engines.spec import EngineSpec

def starve(phase, done, total):
    if phase == "Building engine":
        taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + (16 << 20), -1))
    return True

build(PlanJob(sys.argv[1], sys.argv[2], EngineSpec("tensorrt-rtx")), starve, lambda text: None)
"""


def test_memory_that_runs_out_is_told(tmp_path):
    graph = write_attention_graph(tmp_path / "graph.onnx", blocks=20)
    command = [sys.executable, "-c", _STARVED, str(graph), str(tmp_path / "plan")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment())
    if done.returncode != -signal.SIGSEGV:  # TensorRT-RTX does not check every allocation; its parent then tells
        assert "bad_alloc" in done.stderr
        assert "cure: memory ran out: close other programs or add swap" in done.stderr
    assert done.returncode != 0
    assert not (tmp_path / "plan").exists()


def _has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists() or Path("/dev/nvhost-gpu").exists()
