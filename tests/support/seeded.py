"""Models and parts of models with seeded, non-degenerate weights, and noise to feed them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from briges.export.dinov2 import DinoV2
from briges.export.dpt import DptHead
from briges.export.model import DepthModel
from briges.export.presets import Preset, find_preset
from briges.export.random_weights import randomise

Part = TypeVar("Part", bound=nn.Module)


def noise(*shape: int, seed: int = 1) -> Tensor:
    """N(0, 1) float32 from its own generator."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded_model(preset: Preset | str, height_px: int, width_px: int, seed: int = 0) -> DepthModel:
    """The whole network of a preset, ready to run: constants baked, no gradients recorded."""
    found = find_preset(preset) if isinstance(preset, str) else preset
    with torch.device("meta"):  # skips the default initialisation, half the time of building a ViT-B
        model = DepthModel(found, height_px, width_px)
    randomise(model.to_empty(device="cpu"), seed)
    return _ready(model)


def seeded_part(build: Callable[[], Part], seed: int = 0) -> Part:
    """One module on its own, weighted as it would be inside a whole model."""
    tiny = find_preset("briges-tiny")
    with torch.device("meta"):
        part = build()
        head = part if isinstance(part, DptHead) else DptHead(tiny.geometry, tiny.head, (1, 1))
    # `randomise` expects a head, whose last convolution it treats specially.
    whole = nn.ModuleDict({"head": head} if part is head else {"part": part, "head": head})
    randomise(whole.to_empty(device="cpu"), seed)
    return _ready(part)


def _ready(module: Part) -> Part:
    for child in module.modules():
        if isinstance(child, DinoV2):
            child.bake_constants()
    return module.eval().requires_grad_(False)
