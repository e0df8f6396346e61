"""Seeded weights for a model nobody has a checkpoint of: right for latency, meaningless as depth.

torch's default initialisation is degenerate here (LayerScale 1e-5, an almost constant output of 2e-5), so a comparison
made with it proves nothing. These weights keep every activation near unit size, give attention something to choose from
and the head a depth map that varies and stays positive.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# Standard deviations of parameters that are no matrix product of their input.
_TABLE_STD = {"pos_embed": 0.2, "cls_token": 0.2, "rel_pos_h": 0.05, "rel_pos_w": 0.05}


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Fill every parameter of ``model`` in place; the same seed gives the same weights with the same torch."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        parameter.copy_(_draw(name, parameter.shape, generator))
    final = model.get_submodule("head.scratch.output_conv2.2")
    assert isinstance(final, nn.Conv2d)
    assert final.bias is not None
    final.weight.abs_()  # with the ReLU before it: depth > 0 almost everywhere, so no error hides behind a clamp
    final.bias.fill_(0.1)


def _draw(name: str, shape: torch.Size, generator: torch.Generator) -> Tensor:
    leaf = name.rpartition(".")[2]
    noise = torch.randn(shape, generator=generator)
    if leaf in _TABLE_STD:
        return noise * _TABLE_STD[leaf]
    if leaf == "gamma":
        return 0.05 + 0.25 * torch.rand(shape, generator=generator)
    if leaf == "bias":
        return 0.05 * noise
    if "norm" in name:
        return 1 + 0.1 * noise
    return noise / math.sqrt(_fan_in(name, shape))


def _fan_in(name: str, shape: torch.Size) -> int:
    # ConvTranspose2d stores (in, out, k, k) and, its stride being its kernel, each output sees one tap per channel.
    if name.startswith(("head.resize_layers.0.", "head.resize_layers.1.")):
        return shape[0]
    return math.prod(shape[1:])
