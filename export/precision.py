"""Which parts of the network compute in half precision and which stay in float32: by rule, and by measured range.

Strong typing is all that TensorRT 11 has, so precision is written into the graph. A part kept in float32 is an island:
its weights stay in float32 and what flows in is cast. What flows out is float32 until the next LayerNorm or the end of
the block brings it back to half.

Rules: LayerNorm, because the input's type decides what TensorRT computes it in, whatever ``stash_type`` says, and a
sum of squares leaves half's range at a value of 256; the last convolution of the head, because depth is a float32
output (the one before it would hold the 64 channels of the full size in float32: most of all activation memory); in
bf16 transposed convolutions, which TensorRT-RTX 1.7 cannot build; the temperature, which divides the query's scale
before either meets a half tensor. An attention core is one type throughout, as a cast inside it keeps TensorRT
from fusing it: hence a whole attention is one part.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from briges.export.dinov2 import Block, LayerScale
from briges.export.dpt import DptHead
from briges.export.gates import CrossAttention, CrossBlock, SelfBlock, SemanticAligner
from briges.export.layers import Mlp, PatchEmbed, SelfAttention
from briges.export.model import DepthModel
from briges.export.ranges import Ranges
from briges.export.sam import RelativeAttention, SamBlock
from briges.runtime.agreement import Precision
from briges.runtime.sidecar import Decision

TORCH_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

# Two photographs are not the world: what they show, times this, must fit into half's range.
RANGE_MARGIN = 8

# Every tensor belongs to one of these parts. A block's own tensors are its residual sums.
_STREAMS = (Block, SamBlock, CrossBlock, SelfBlock)
_LAST_CONVOLUTION = "head.scratch.output_conv2.2"
_PARTS = (PatchEmbed, SelfAttention, RelativeAttention, CrossAttention, Mlp, SemanticAligner, DptHead)


def decide(model: DepthModel, ranges: Ranges, precision: Precision) -> tuple[Decision, ...]:
    """The precision table: one row per part, in the order of the network.

    ranges: module path within ``model`` -> largest magnitude, as the range pass recorded it; empty if it did not run.
    """
    largest: dict[str, float] = {}
    for path, value in ranges.items():
        part = _part_of(model, path, precision)
        largest[part] = max(largest.get(part, 0.0), value)
    limit = torch.finfo(TORCH_DTYPES[precision]).max
    decisions = []
    for path, module in model.named_modules():
        if _by_rule(path, module, precision):
            decisions.append(Decision(path, "fp32", largest.get(path), "rule"))
        elif isinstance(module, (*_STREAMS, *_PARTS)):
            measured = largest.get(path)
            fits = measured is None or measured * RANGE_MARGIN <= limit
            share = "not measured" if measured is None else f"{measured / limit:.2%} of {limit:.4g}"
            decisions.append(Decision(path, precision if fits else "fp32", measured, share))
    return tuple(decisions)


def apply_precision(model: DepthModel, decisions: Iterable[Decision], precision: Precision) -> None:
    """Turn ``model`` into the typed network, in place: weights converted, casts at the edges of the islands."""
    half = TORCH_DTYPES[precision]
    islands: list[str] = []
    for decision in decisions:
        module = model.get_submodule(decision.part)
        if not isinstance(module, _STREAMS):
            islands += [decision.part] if decision.dtype == "fp32" else []
        elif decision.dtype == "fp32":
            module.register_forward_pre_hook(_cast_arguments)
            # What scales a branch before it meets the stream was measured as part of the stream.
            names = (name for name, child in module.named_children() if isinstance(child, LayerScale))
            islands += [f"{decision.part}.{name}" for name in names]
        else:
            # The sums of a stream in half must come back to it after a branch in float32.
            module.register_forward_hook(_cast_result(half))
    for island in islands:
        module = model.get_submodule(island)
        module.register_forward_pre_hook(_cast_arguments)
        # Other islands are followed by a LayerNorm, by the end of a block, or by nothing.
        if isinstance(module, nn.LayerNorm | nn.ConvTranspose2d) and not _inside(island, islands):
            module.register_forward_hook(_cast_result(half))
    for path, module in model.named_modules():
        # Weights of an island that were half for a moment would be rounded for good.
        if path not in islands and not _inside(path, islands):
            _convert(module, half)


def _inside(path: str, islands: Iterable[str]) -> bool:
    return any(path.startswith(f"{island}.") for island in islands)


def _convert(module: nn.Module, half: torch.dtype) -> None:
    """Turn the weights that ``module`` itself has into half, and leave those of its children."""
    for parameter in module.parameters(recurse=False):
        parameter.data = parameter.data.to(half)
    for name, buffer in list(module.named_buffers(recurse=False)):
        setattr(module, name, buffer.to(half))


def _by_rule(path: str, module: nn.Module, precision: Precision) -> bool:
    if precision == "bf16" and isinstance(module, nn.ConvTranspose2d):
        return True
    return isinstance(module, nn.LayerNorm) or path == _LAST_CONVOLUTION


def _part_of(model: DepthModel, path: str, precision: Precision) -> str:
    """The part a tensor computed in module ``path`` belongs to; the encoders' own sums count to their first step."""
    names = path.split(".")
    for length in range(len(names), 0, -1):
        part = ".".join(names[:length])
        module = model.get_submodule(part)
        if _by_rule(part, module, precision) or isinstance(module, (*_STREAMS, *_PARTS)):
            return part
        if isinstance(module, nn.Module) and isinstance(getattr(module, "patch_embed", None), PatchEmbed):
            return f"{part}.patch_embed"
    raise AssertionError(f"a tensor of {path or 'the model itself'} belongs to no part")


def _cast_arguments(_module: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_to_float(argument) for argument in arguments)


def _to_float(argument: Any) -> Any:
    if isinstance(argument, list):
        return [_to_float(item) for item in argument]
    return argument.float() if isinstance(argument, Tensor) else argument


def _cast_result(dtype: torch.dtype) -> Any:
    return lambda _module, _arguments, result: result.to(dtype)
