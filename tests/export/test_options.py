"""What `briges export` reads of sizes, and what it says of its result."""

from __future__ import annotations

import dataclasses

import click
import pytest
from support.manifests import GOOD, depth_spec, model, semantic_spec

from briges.export.options import SizeParam, choose_sizes, describe_export
from briges.runtime.errors import UnknownNameError, UsageError
from briges.runtime.sidecar import AttentionForm, Decision, SizedGraph


@pytest.mark.parametrize(("text", "size"), [("518x686", (518, 686)), (" 518X686 ", (518, 686)), ("0x14", (0, 14))])
def test_a_size_is_height_by_width(text, size):
    assert SizeParam().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "518", "518x", "x686", "518*686", "518x686x3", "-14x14", "5e2x686", "51.8x686"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(click.UsageError) as caught:
        SizeParam().convert(text, None, None)
    assert caught.value.message == f"{text!r} is not HEIGHTxWIDTH in pixels, such as 518x686"


@pytest.mark.parametrize(
    ("height", "width", "sizes", "chosen"),
    [
        (None, None, (), ()),
        (None, None, ((14, 28), (28, 14)), ((14, 28), (28, 14))),
        (252, None, (), ((252, 126),)),
        (None, 252, (), ((126, 252),)),
        (252, 140, (), ((252, 140),)),
        (0, None, (), ((0, 126),)),  # refused later, not replaced
    ],
)
def test_height_and_width_default_to_the_presets(height, width, sizes, chosen):
    assert choose_sizes("briges-tiny", height, width, sizes) == chosen


@pytest.mark.parametrize(("height", "width"), [(14, None), (None, 14), (14, 14)])
def test_both_ways_of_naming_a_size_at_once_are_refused(height, width):
    with pytest.raises(UsageError) as caught:
        choose_sizes("briges-tiny", height, width, ((14, 14),))
    assert str(caught.value) == (
        "--height, --width: given beside --size\n  expected: one or the other\n  cure: use --size alone"
    )


def test_a_preset_that_does_not_exist_is_named_before_its_size():
    with pytest.raises(UnknownNameError, match="did you mean 'briges-tiny'"):
        choose_sizes("brigs-tiny", 14, None, ())


def graph(width_px: int, agreement=GOOD) -> SizedGraph:
    return SizedGraph(f"model-56x{width_px}.onnx", (depth_spec(56, width_px), semantic_spec(64)), agreement)


def test_the_result_names_every_size_its_islands_and_its_headroom():
    decisions = (
        Decision("geometry.blocks.0.norm1", "fp32", 90.0, "rule"),
        Decision("geometry.blocks.0.attn", "fp16", 41.5, "0.06% of 6.55e+04"),
        Decision("geometry.blocks.0.mlp", "fp32", 61000.0, "93.12% of 6.55e+04"),
    )
    attention = AttentionForm("native", None, "bias", "channels", 412.3)
    spec = model(graphs=(graph(70), graph(112)), decisions=decisions, attention=attention)
    told = (
        "fp32 PyTorch against ONNX Runtime on 2 photographs: relative L2 1.0e-03 (10% of 1e-02 allowed), "
        "aligned deviation 1.0e-02 (20% of 5e-02 allowed), correlation 0.999990"
    )
    assert list(describe_export(spec)) == [
        "briges-tiny, 56x70, 56x112, fp16, opset 18, Apache-2.0",
        "1 parts in fp16, 2 islands in fp32; by measured range: geometry.blocks.0.mlp",
        "attention: native, 412 GFLOP more than plain, for activation memory",
        f"56x70: {told}",
        f"56x112: {told}",
    ]


def test_a_plain_fp32_model_that_was_not_checked_takes_two_lines():
    plain = AttentionForm("plain", None, "bias", "bias", 0.0)
    spec = model(precision="fp32", graphs=(graph(70, None),), decisions=(), attention=plain)
    assert list(describe_export(spec)) == ["briges-tiny, 56x70, fp32, opset 18, Apache-2.0", "attention: plain"]


def test_what_is_left_to_the_plugin_is_told():
    gates = AttentionForm("plugin", "gates", "bias", "channels", 412.3)
    line = "attention: left to the plugin (gates), or to what `briges build --attention` says"
    assert f"{line}, 412 GFLOP more than plain, for activation memory" in describe_export(model(attention=gates))
    every = AttentionForm("plugin", "all", "plugin", "plugin", 0.0)
    assert line.replace("(gates)", "(all)") in describe_export(model(attention=every))


def test_without_islands_by_range_all_are_said_to_be_by_rule():
    spec = model(decisions=(Decision("head.norm", "fp32", 1.0, "rule"), Decision("head", "bf16", 1.0, "0% of 3.4e+38")))
    lines = list(describe_export(dataclasses.replace(spec, precision="bf16")))
    assert lines[1] == "1 parts in bf16, 1 islands in fp32, all by rule"
