"""The library in the real TensorRT-RTX, without a GPU: its node is parsed, built, and refused with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from briges.engines.plugin.layout import AttentionLayout
from briges.runtime import contracts

NATIVE = "Build with --attention native"
EXPORT = "Export the model again with `briges export`"


def node_model(
    path: Path,
    *,
    head_dim: int,
    channels: int,
    relative: bool = False,
    tokens: int = TensorProto.FLOAT16,
    temperature: int = TensorProto.FLOAT,
) -> Path:
    """One attention node over a packed tensor of 15 tokens, with every attribute, as the exporter writes it."""
    grid = (3, 5) if relative else (0, 0)
    values = (2, head_dim, 0, 2 * head_dim, 4 * head_dim, *grid)
    inputs = ["qkv", "qkv", "qkv", "temperature", *(["rows", "columns"] if relative else [])]
    node = helper.make_node(
        contracts.PLUGIN_NAME,
        inputs,
        ["out"],
        domain=contracts.PLUGIN_NAMESPACE,
        plugin_namespace=contracts.PLUGIN_NAMESPACE,
        plugin_version=contracts.PLUGIN_VERSION,
        **dict(zip(AttentionLayout.__dataclass_fields__, values, strict=True)),
    )
    half = TensorProto.FLOAT16
    tensors = [("qkv", tokens, [1, 15, channels]), ("temperature", temperature, [1])]
    tensors += [("rows", half, [5, head_dim]), ("columns", half, [9, head_dim])] if relative else []
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(*tensor) for tensor in tensors],
        [helper.make_tensor_value_info("out", tokens, [1, 15, 2 * head_dim])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(contracts.PLUGIN_NAMESPACE, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return path


BUILD = """
import sys
import tensorrt_rtx as trt
class Logger(trt.ILogger):
    def __init__(self):
        trt.ILogger.__init__(self)
    def log(self, severity, message):
        print(severity.name, message.splitlines()[0])
logger = Logger()
builder = trt.Builder(logger)
registry = trt.get_plugin_registry()
registry.load_library(sys.argv[1])
assert registry.get_creator("TemperatureScaledAttention", "1", "briges") is not None
network = builder.create_network(0)
parser = trt.OnnxParser(network, logger)
if not parser.parse_from_file(sys.argv[2]):
    sys.exit(3)
print("layers", *(network.get_layer(index).type.name for index in range(network.num_layers)))
print("output", *network.get_output(0).shape)
config = builder.create_builder_config()
config.num_compute_capabilities = 1
config.set_compute_capability(trt.ComputeCapability.SM86, 0)
plan = builder.build_serialized_network(network, config)
print("plan", plan is not None and plan.nbytes > 1000)
"""


def build_with_rtx(library: Path, model: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """In a process whose linker finds the library of the wheel by the name the parser opens."""
    pytest.importorskip("tensorrt_rtx")
    import tensorrt_rtx_libs

    (installed,) = Path(tensorrt_rtx_libs.__path__[0]).glob("libtensorrt_rtx.so.*")
    (folder / "libtensorrt_rtx.so").symlink_to(installed)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    command = [sys.executable, "-c", BUILD, library, model]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("head_dim", "relative"), [(48, False), (64, True)])
def test_tensorrt_rtx_takes_the_node_for_a_plugin_and_builds_it_without_a_gpu(library, tmp_path, head_dim, relative):
    model = node_model(tmp_path / "one.onnx", head_dim=head_dim, channels=6 * head_dim, relative=relative)
    done = build_with_rtx(library, model, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in done.stdout.splitlines() if line.split()[0] in ("layers", "output", "plan", "ERROR")]
    assert said == ["layers PLUGIN_V3", f"output 1 15 {2 * head_dim}", "plan True"]


@pytest.mark.parametrize(
    ("head_dim", "channels", "message"),
    [
        (40, 240, f"head_dim is 40; expected 24, 48, 64 or 80. {NATIVE}"),
        (
            48,
            272,
            "2 heads of 48 channels at offset 192 do not fit in 272 channels of value; expected 288 or more. " + EXPORT,
        ),
    ],
)
def test_tensorrt_rtx_puts_the_reason_of_a_refusal_into_its_log(library, tmp_path, head_dim, channels, message):
    done = build_with_rtx(library, node_model(tmp_path / "one.onnx", head_dim=head_dim, channels=channels), tmp_path)
    assert done.returncode == 3
    assert done.stdout.splitlines().count(f"ERROR TemperatureScaledAttention: {message}") == 1
    assert "TemperatureScaledAttention" not in done.stderr


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({"tokens": TensorProto.FLOAT}, f"query is float32; expected float16 or bfloat16. {NATIVE}"),
        (
            {"tokens": TensorProto.BFLOAT16, "relative": True},
            f"rel_pos_h is float16; expected bfloat16, as query is. {EXPORT}",
        ),
        ({"temperature": TensorProto.FLOAT16}, f"temperature is float16; expected float32. {EXPORT}"),
    ],
)
def test_tensorrt_rtx_puts_a_wrong_type_into_its_log(library, tmp_path, types, message):
    done = build_with_rtx(library, node_model(tmp_path / "one.onnx", head_dim=64, channels=384, **types), tmp_path)
    assert done.returncode == 3
    assert done.stdout.splitlines().count(f"ERROR TemperatureScaledAttention: {message}") >= 1
