"""What `--attention` decides: the plugin wherever it can be had, and a reason wherever it cannot."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from support.attention_graph import BFLOAT, FLOAT, attention_graph
from support.building import SILENT
from support.manifests import ORIN, model

from briges.engines import attention_choice
from briges.engines.attention_choice import Choice, choose_attention
from briges.engines.lowering import attention_nodes
from briges.engines.plugin.record import LIBRARY_FILE
from briges.engines.spec import EngineSpec
from briges.engines.watcher import Watcher
from briges.runtime import toolchain
from briges.runtime.errors import BuildError, MissingExtraError, UsageError
from briges.runtime.files import sha256_of
from briges.runtime.gpu import Driver
from briges.runtime.sidecar import AttentionForm, ModelSpec

RTX, ORT = EngineSpec("tensorrt-rtx"), EngineSpec("onnxruntime")
LEFT = AttentionForm("plugin", "all", "plugin", "plugin", 0.0)


@pytest.fixture
def choose(plugin_folder: Path):
    def run(asked: str, spec: EngineSpec = RTX, form: AttentionForm = LEFT, **of_graph: Any) -> Choice:
        described: ModelSpec = model(attention=form)
        graphs = {"1x1": attention_graph(**of_graph)}
        return choose_attention(asked, described, graphs, spec, plugin_folder, SILENT)

    return run


@pytest.mark.parametrize("asked", ["auto", "plugin"])
@pytest.mark.parametrize("of_graph", [{}, {"side": 16}, {"side": 64}, {"kind": BFLOAT, "head_dim": 24}])
def test_the_plugin_is_taken_where_it_can_be_had(choose, plugin_folder, asked, of_graph):
    choice = choose(asked, **of_graph)
    assert (choice.lowering, choice.fell_back) == ("plugin", None)
    assert choice.plugin_library is not None
    assert choice.plugin_library.path == plugin_folder / LIBRARY_FILE
    assert choice.plugin_library.sha256 == sha256_of(choice.plugin_library.path)


@pytest.mark.parametrize("asked", ["native", "plain"])
@pytest.mark.parametrize("spec", [RTX, ORT])
def test_what_is_asked_for_is_taken_and_written_out(choose, asked, spec):
    choice = choose(asked, spec, side=16)
    assert choice == Choice(asked)
    made = choice.applied(attention_graph(side=16))
    assert attention_nodes(made) == []
    assert ("Concat" in {node.op_type for node in made.graph.node}) == (asked == "native"), "channels, or a bias"


def test_onnx_runtime_runs_the_definition(choose):
    assert choose("auto", ORT) == Choice("plain")
    with pytest.raises(UsageError, match="for --flavour onnxruntime"):
        choose("plugin", ORT)


@pytest.mark.parametrize("exported", ["native", "plain"])
def test_what_was_exported_in_one_form_stays_in_it(choose, exported):
    form = AttentionForm(exported, None, "bias", "bias", 0.0)
    assert choose("auto", form=form) == choose(exported, form=form) == Choice(exported)
    with pytest.raises(UsageError, match=f"exported with --attention {exported}"):
        choose("plugin", form=form)


def test_a_model_of_which_parts_are_native_already_cannot_be_plain(choose):
    gates = AttentionForm("plugin", "gates", "bias", "channels", 1.0)
    assert choose("native", form=gates) == Choice("native")
    with pytest.raises(UsageError, match="--plugin-scope gates"):
        choose("plain", form=gates)


# Where it cannot be had


def test_a_float32_model_is_native_and_told_why(choose):
    choice = choose("auto", kind=FLOAT)
    assert choice.lowering == "native"
    assert "float32" in str(choice.fell_back)
    with pytest.raises(BuildError, match="cure: use --attention native, or export with --precision fp16"):
        choose("plugin", kind=FLOAT)


@pytest.mark.parametrize(
    ("of_graph", "spec", "came"),
    [
        ({"head_dim": 40}, RTX, "no kernel for heads of 40 channels"),
        ({"side": 65}, RTX, "no kernel for grids of 65x65"),
        ({"side": 64}, EngineSpec("tensorrt-rtx", compute_capabilities=("8.6", "7.5")), "grids of 64x64"),
        ({"kind": BFLOAT}, EngineSpec("tensorrt-rtx", compute_capabilities=("7.5",)), "no bf16 kernel for compute"),
        ({"head_dim": 48, "side": 16}, RTX, "head_dim 48 and grids of 16x16"),
    ],
)
def test_what_no_kernel_serves_is_native_and_told_why(choose, of_graph, spec, came):
    choice = choose("auto", spec, **of_graph)
    assert choice.lowering == "native"
    turing = "7.5" in spec.compute_capabilities
    assert ("compute capability 7.5 has no matrix instructions" if turing else came) in str(choice.fell_back)
    with pytest.raises(BuildError, match=came):
        choose("plugin", spec, **of_graph)


def test_windows_run_on_turing_and_newer_gpus_than_the_table_knows_take_the_kernels_of_8_0(choose):
    for capabilities in (("7.5",), ("12.1",)):
        spec = EngineSpec("tensorrt-rtx", compute_capabilities=capabilities)
        assert choose("plugin", spec, side=14).lowering == "plugin"


def test_tensorrt_builds_for_the_gpu_at_hand(choose, monkeypatch):
    monkeypatch.setattr(attention_choice, "read_driver", lambda: Driver("12.6", (ORIN,), None))
    assert choose("auto", EngineSpec("tensorrt"), side=64).lowering == "plugin"
    turing = dataclasses.replace(ORIN, compute_capability="7.5")
    monkeypatch.setattr(attention_choice, "read_driver", lambda: Driver("12.6", (turing,), None))
    assert choose("auto", EngineSpec("tensorrt"), side=64).lowering == "native"


def test_a_gpu_at_hand_that_no_kernel_serves_makes_engines_for_others_native(choose, monkeypatch):
    for capability, came in (("7.5", "7.5 has no matrix instructions"), ("6.1", "compute capability 6.1")):
        device = dataclasses.replace(ORIN, compute_capability=capability)
        monkeypatch.setattr(attention_choice, "read_driver", lambda device=device: Driver("12.6", (device,), None))
        choice = choose("auto", side=64)
        assert choice.lowering == "native"
        assert came in str(choice.fell_back)
        with pytest.raises(BuildError, match=f"no .*kernels? for compute capability {capability}"):
            choose("plugin", side=64)


def test_a_tensorrt_rtx_without_plugin_layers_is_native(choose, monkeypatch):
    monkeypatch.setattr(attention_choice, "library_version", lambda flavour: "1.6.0.0")
    assert choose("auto").fell_back == "the attention plugin: TensorRT-RTX 1.6.0.0 has no plugin layers"
    with pytest.raises(BuildError, match=r"tensorrt-rtx-cu13>=1.7"):
        choose("plugin")


def test_without_a_compiler_auto_falls_back_and_plugin_refuses(tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)
    arguments = (model(attention=LEFT), {"1x1": attention_graph()}, RTX, tmp_path / "plugin", SILENT)
    choice = choose_attention("auto", *arguments)
    assert choice == Choice("native", fell_back="a C++17 compiler: no g++ in PATH")
    with pytest.raises(MissingExtraError, match="apt install"):
        choose_attention("plugin", *arguments)
    assert not (tmp_path / "plugin").exists()


def test_where_the_plugin_cannot_be_written_auto_falls_back_before_anything_is_compiled(tmp_path):
    (tmp_path / "file").touch()
    steps: list[str] = []
    watcher = Watcher(steps.append, lambda *progress: None)
    arguments = (model(attention=LEFT), {"1x1": attention_graph()}, RTX, tmp_path / "file" / "plugin", watcher)
    choice = choose_attention("auto", *arguments)
    assert choice.lowering == "native"
    assert "cannot be written" in str(choice.fell_back)
    with pytest.raises(BuildError, match="cure: name one with --plugin"):
        choose_attention("plugin", *arguments)
    assert steps == []


# What TensorRT is given


def test_tensorrt_gets_half_attentions_as_nodes_and_float32_ones_written_out(choose):
    choice = choose("plugin")
    assert len(attention_nodes(choice.for_tensorrt(attention_graph()))) == 1
    assert attention_nodes(choice.for_tensorrt(attention_graph(kind=FLOAT))) == []
    assert attention_nodes(Choice("native").for_tensorrt(attention_graph())) == []
