"""What stays in float32: by rule, and where photographs drive a part out of half's range."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support.seeded import seeded_model
from support.typed import measure, run_torch
from torch import nn

from briges.engines.gate import open_depth
from briges.engines.onnx_graph import load_graph
from briges.export.gates import CrossAttention
from briges.export.layers import SelfAttention
from briges.export.model import DepthModel
from briges.export.precision import RANGE_MARGIN, decide
from briges.export.to_onnx import ContractModel
from briges.runtime.agreement import LIMITS, compare, violations, worst
from briges.runtime.sidecar import Decision

HALF_MAX = 65504.0
Plant = Callable[[DepthModel], None]


@pytest.fixture(scope="module")
def table() -> tuple[Decision, ...]:
    """The fp16 table of a small gated network with well-behaved weights."""
    return measure().decide()


def islands_by_range(decisions: tuple[Decision, ...]) -> list[str]:
    return [decision.part for decision in decisions if decision.dtype == "fp32" and decision.reason != "rule"]


# The table


def test_norms_and_the_last_convolutions_are_float32_by_rule_and_nothing_else_is(table):
    model = seeded_model("briges-tiny", 126, 126)
    expected = {path for path, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    assert len(expected) == 2 * 4 + 1 + 2 * 2 + 4 * 5
    decisions = decide(model, {}, "fp16")
    found = {decision.part for decision in decisions if decision.dtype == "fp32"}
    assert found == expected | {"head.scratch.output_conv2.2"}
    assert {decision.reason for decision in decisions if decision.part in found} == {"rule"}
    assert {decision.reason for decision in decisions if decision.part not in found} == {"not measured"}
    assert islands_by_range(table) == []


def test_every_parameter_belongs_to_a_part(table):
    parts = {decision.part for decision in table}
    model = measure().model
    # What the encoders add to their first tokens counts to the step that makes them.
    sums = {"geometry.cls_token", "geometry.pos_embed", "semantic.pos_embed"}
    for name, _ in model.named_parameters():
        paths = name.split(".")
        owners = {".".join(paths[:length]) for length in range(1, len(paths))}
        assert owners & parts or name in sums, name


def test_every_row_has_the_largest_magnitude_of_its_part_and_its_share(table):
    # The last block of this network is behind its last tap, and never runs.
    unmeasured = {decision.part.rpartition(".blocks.")[2][0] for decision in table if not decision.largest}
    assert unmeasured == {"4"}
    by_part = {decision.part: decision for decision in table}
    mlp = by_part["geometry.blocks.1.mlp"]
    assert mlp.reason == f"{mlp.largest / HALF_MAX:.2%} of 6.55e+04"
    assert [decision.part for decision in table] == [
        path for path, _ in measure().model.named_modules() if path in by_part
    ]


@pytest.mark.parametrize(
    ("largest", "dtype"), [(HALF_MAX / RANGE_MARGIN, "fp16"), (HALF_MAX / RANGE_MARGIN + 1, "fp32")]
)
def test_a_part_may_use_an_eighth_of_the_range(largest, dtype):
    model = seeded_model("briges-tiny", 126, 126)
    path = "geometry.blocks.0.mlp"
    for inner in (path, f"{path}.fc1", f"{path}.act"):
        decisions = {decision.part: decision for decision in decide(model, {inner: largest}, "fp16")}
        assert (decisions[path].dtype, decisions[path].largest) == (dtype, largest)
    decisions = {decision.part: decision for decision in decide(model, {path: largest}, "bf16")}
    assert decisions[path].dtype == "bf16"


def test_what_belongs_to_no_part_is_an_error_and_not_overlooked():
    with pytest.raises(AssertionError, match="a tensor of gates belongs to no part"):
        decide(seeded_model("briges-tiny", 126, 126), {"gates": 1.0}, "fp16")


# The network


def test_an_island_keeps_its_weights_in_float32_to_the_last_digit():
    exact, typed = measure().model, measure()
    decisions = typed.decide()
    typed.type()
    parameters = dict(typed.model.named_parameters())
    islands = tuple(f"{decision.part}." for decision in decisions if decision.dtype == "fp32")
    for name, value in exact.named_parameters():
        inside = name.startswith(islands)
        assert parameters[name].dtype == (torch.float32 if inside else torch.float16), name
        assert torch.equal(parameters[name], value if inside else value.half()), name


def mlp(model: DepthModel) -> None:
    """Hidden values of 360,000, scaled back by fc2."""
    part = model.geometry.blocks[1].mlp
    for parameter in part.fc1.parameters():
        parameter.mul_(1e5)
    part.fc2.weight.div_(1e5)


def gate_logits(model: DepthModel) -> None:
    part = model.gates[2].self_block.attn.qkv  # of 48 channels: query, key, value
    part.weight[:96].mul_(400)
    part.bias[:96].mul_(400)


def cross_logits(model: DepthModel) -> None:
    part = model.gates[1].cross_block.attn
    part.query.weight.mul_(300)
    part.key_value.weight[:48].mul_(300)


def semantic_query(model: DepthModel) -> None:
    """Queries of 300,000, with keys and relative positions that bring the logits back."""
    part = model.semantic.blocks[1].attn
    for parameter in (part.qkv.weight, part.qkv.bias):
        parameter[:48].mul_(1e5)
        parameter[48:96].div_(1e5)
    part.rel_pos_h.div_(1e5)
    part.rel_pos_w.div_(1e5)


def layer_scale(model: DepthModel) -> None:
    model.geometry.blocks[1].ls2.gamma.mul_(1e6)


def patches(model: DepthModel) -> None:
    model.geometry.patch_embed.proj.weight.mul_(1e5)


def semantic_sums(model: DepthModel) -> None:
    model.semantic.blocks[1].mlp.fc2.weight.mul_(1e5)


def head(model: DepthModel) -> None:
    part = model.head.scratch
    for parameter in part.output_conv1.parameters():
        parameter.mul_(1e5)
    part.output_conv2[0].weight.div_(1e5)


PLANTS: dict[Plant, list[str]] = {
    mlp: ["geometry.blocks.1.mlp"],
    gate_logits: ["gates.2.self_block.attn"],
    cross_logits: ["gates.1.cross_block.attn"],
    semantic_query: ["semantic.blocks.1.attn"],
    # A stream that has grown stays so until the end of its encoder.
    layer_scale: [f"geometry.blocks.{index}" for index in (1, 2, 3)],
    patches: ["geometry.patch_embed", *(f"geometry.blocks.{index}" for index in range(4))],
    semantic_sums: ["semantic.blocks.1", "semantic.blocks.1.mlp", "aligner"],
    head: ["head"],
}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_part_that_leaves_the_range_becomes_an_island_and_needs_to(plant):
    measured = measure(plant)
    assert islands_by_range(measured.decide()) == PLANTS[plant]
    found = measured.agreement(run_torch(measured.type(), measured.feeds))
    assert violations(found, LIMITS["fp16"]) == [], found
    unprotected = measure(plant)
    assert not unprotected.agreement(run_torch(unprotected.type(by_range=False), unprotected.feeds)).finite


def test_bf16_has_the_range_and_needs_no_island():
    measured = measure(mlp)
    assert islands_by_range(measured.decide("bf16")) == []
    found = measured.agreement(run_torch(measured.type("bf16"), measured.feeds))
    assert violations(found, LIMITS["bf16"]) == [], found


def everything(model: DepthModel) -> None:
    for plant in (mlp, gate_logits, semantic_query, layer_scale, head):
        plant(model)


def test_the_exported_graph_is_finite_with_the_islands_and_is_not_without(tmp_path):
    for by_range in (True, False):
        measured = measure(everything)
        folder = tmp_path / f"by_range_{by_range}"
        measured.write(measured.type(by_range=by_range), folder)
        run = open_depth(load_graph(folder / "model.onnx"), folder, "fp16")
        found = measured.agreement([run(feed) for feed in measured.feeds])
        assert (violations(found, LIMITS["fp16"]) == []) == by_range, found
        assert found.finite == by_range


def test_a_small_or_large_dynamic_temperature_stays_finite_in_half():
    for precision in ("fp16", "bf16"):
        for tau in (0.05, 100.0):
            measured = measure(temperature="dynamic")
            feeds = [feed | {"temperature": feed["temperature"] * 0 + tau} for feed in measured.feeds]
            exact = run_torch(ContractModel(measured.model), feeds)
            typed = run_torch(measured.type(precision), feeds)
            found = worst(compare(ours, theirs) for ours, theirs in zip(typed, exact, strict=True))
            assert violations(found, LIMITS[precision]) == [], (precision, tau, found)


def test_the_temperature_divides_in_float32_before_it_meets_the_query():
    measured = measure(temperature="dynamic")
    seen: list[torch.dtype] = []
    for module in measured.model.modules():
        if isinstance(module, CrossAttention | SelfAttention):
            module.register_forward_pre_hook(
                lambda _, given: seen.extend(t.dtype for t in given[-1:] if t.numel() == 1)
            )
    run_torch(measured.type(), measured.feeds[:1])
    assert seen == [torch.float32] * 8


def test_bf16_keeps_transposed_convolutions_in_float32_and_what_follows_in_bf16():
    measured = measure()
    rule = {decision.part for decision in measured.decide("bf16") if decision.reason == "rule"}
    transposed = {"head.resize_layers.0", "head.resize_layers.1"}
    assert rule - {decision.part for decision in measured.decide("fp16") if decision.reason == "rule"} == transposed
    seen: dict[str, torch.dtype] = {}
    for path in (*transposed, "head.scratch.layer1_rn", "head.scratch.layer2_rn"):
        module = measured.model.get_submodule(path)
        module.register_forward_hook(lambda module, _, result, path=path: seen.update({path: module.weight.dtype}))
    run_torch(measured.type("bf16"), measured.feeds[:1])
    assert seen == dict.fromkeys(transposed, torch.float32) | {
        "head.scratch.layer1_rn": torch.bfloat16,
        "head.scratch.layer2_rn": torch.bfloat16,
    }


def test_a_head_that_leaves_the_range_of_bf16_is_one_island_with_its_transposed_convolutions():
    def far_out(model: DepthModel) -> None:
        model.head.scratch.output_conv1.weight.mul_(1e37)
        model.head.scratch.output_conv2[0].weight.div_(1e37)

    measured = measure(far_out)
    assert islands_by_range(measured.decide("bf16")) == ["head"]
    assert violations(measured.agreement(run_torch(measured.type("bf16"), measured.feeds)), LIMITS["bf16"]) == []
