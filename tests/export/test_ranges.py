"""The range pass: no tensor escapes it, it changes nothing, and it goes when it is done."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from support.seeded import noise, seeded_model, seeded_part
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from briges.export.layers import Mlp, SelfAttention
from briges.export.ranges import recording


class Doubling(nn.Module):
    """Twice its input, in a module of its own; the result is what the inner module gets."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(1, 1, bias=False)
        self.inner.weight.data.fill_(-10.0)

    def forward(self, value: Tensor) -> Tensor:
        return self.inner(2 * value) + 1


@torch.no_grad()
def test_a_tensor_belongs_to_the_innermost_module_that_computed_it():
    module = Doubling()
    with recording(module) as ranges:
        module(torch.tensor([[3.0]]))
    # Outside: 2 * 3 before, -60 + 1 after. Inside: -10 * 6.
    assert ranges == {"": 59.0, "inner": 60.0}


@torch.no_grad()
def test_repeated_runs_widen_the_ranges_and_never_narrow_them():
    module = Doubling()
    with recording(module) as ranges:
        for value in (3.0, -50.0, 1.0):
            module(torch.tensor([[value]]))
    assert ranges == {"": 1001.0, "inner": 1000.0}


@torch.no_grad()
def test_the_logits_inside_an_attention_are_seen_although_its_output_is_small():
    attention = seeded_part(lambda: SelfAttention(24, 2))
    attention.qkv.weight[:48] *= 100  # query and key
    with recording(attention) as ranges:
        output = attention(noise(1, 5, 24))
    query, key = (part.reshape(1, 5, 2, 12).transpose(1, 2) for part in attention.qkv(noise(1, 5, 24)).chunk(3, -1)[:2])
    logits = 12**-0.5 * query @ key.transpose(2, 3)
    assert output.abs().max() < 10
    assert ranges[""] == pytest.approx(float(logits.abs().max()), rel=1e-5)
    assert ranges[""] > 1000


class _Everything(TorchDispatchMode):
    """The magnitude of every floating-point result of every operator, views or not."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        for result in results if isinstance(results, tuple | list) else [results]:
            if isinstance(result, Tensor) and result.is_floating_point() and result.numel():
                self.seen.append(float(result.abs().max()))
        return results


@torch.no_grad()
def test_no_tensor_of_a_whole_network_is_larger_than_what_was_recorded():
    model = seeded_model("briges-tiny", 42, 56)
    images = noise(1, 3, 42, 56), noise(1, 3, 256, 256)
    with recording(model) as ranges:
        model(*images)
    with _Everything() as everything:
        model(*images)
    assert len(everything.seen) > 300
    assert max(ranges.values()) == pytest.approx(max(everything.seen), rel=1e-6)
    # Every module that computes anything of its own has its entry, and nothing else has one.
    leaves = {
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.LayerNorm | nn.GELU)
    }
    assert leaves <= ranges.keys() <= {path for path, _ in model.named_modules()}


@torch.no_grad()
def test_recording_changes_no_bit_and_leaves_no_hook():
    module = seeded_part(lambda: Mlp(16))
    before = module(noise(2, 16))
    with recording(module) as ranges:
        during = module(noise(2, 16))
    recorded = dict(ranges)
    after = module(1000 * noise(2, 16))
    assert torch.equal(before, during)
    assert not torch.equal(before, after)
    assert ranges == recorded
    for child in module.modules():
        assert not child._forward_hooks
        assert not child._forward_pre_hooks


@torch.no_grad()
def test_a_run_that_fails_leaves_no_hook_either():
    module = seeded_part(lambda: Mlp(16))
    with pytest.raises(RuntimeError), recording(module):
        module(noise(2, 17))
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in module.modules())
    module(noise(2, 16))


@torch.no_grad()
def test_infinite_values_are_recorded_as_such_and_integers_are_not():
    module = nn.Softplus()
    with recording(module) as ranges:
        module(torch.tensor([1.0, math.inf]))
        assert ranges == {"": math.inf}
    with recording(nn.Identity()) as ranges:
        torch.arange(5) + 1
    assert ranges == {}
