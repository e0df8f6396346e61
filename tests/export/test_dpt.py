"""The depth head against the neck and head of transformers' Depth Anything, square and not."""

from __future__ import annotations

import pytest
import torch
from support.hf_reference import head_reference
from support.parity import CLEARLY_DIFFERENT, assert_parity, relative_error
from support.seeded import noise, seeded_part
from torch import Tensor

from briges.export.dpt import DptHead
from briges.export.presets import find_preset

SQUARE = (37, 37)  # 518x518
LANDSCAPE = (37, 49)  # 518x686


def seeded_head(preset: str, grid: tuple[int, int]) -> DptHead:
    found = find_preset(preset)
    return seeded_part(lambda: DptHead(found.geometry, found.head, grid))


def taps(width: int, grid: tuple[int, int], batch: int = 1) -> list[Tensor]:
    return [noise(batch, grid[0] * grid[1], width, seed=seed) for seed in range(4)]


def reference_depth(head: DptHead, preset: str, tapped: list[Tensor], grid: tuple[int, int]) -> Tensor:
    found = find_preset(preset)
    reference = head_reference(head, found.geometry, found.head)
    # transformers expects a class token and drops it: NaN shows that it does.
    with_class = [torch.cat((torch.full_like(tokens[:, :1], torch.nan), tokens), dim=1) for tokens in tapped]
    return reference["head"](reference["neck"](with_class, *grid), *grid)[:, None]


@pytest.mark.parametrize(
    ("preset", "grid", "batch"),
    [
        ("depth-anything-v2-s", SQUARE, 1),
        ("depth-anything-v2-s", LANDSCAPE, 1),
        ("depth-anything-v2-b", (49, 37), 1),
        ("briges-v2-l", (9, 12), 1),
        ("briges-tiny", (9, 9), 2),
        ("briges-tiny", (8, 11), 2),
    ],
)
def test_the_head_matches_transformers(preset, grid, batch):
    head = seeded_head(preset, grid)
    tapped = taps(find_preset(preset).geometry.width, grid, batch)
    depth = head(tapped)
    assert depth.shape == (batch, 1, 14 * grid[0], 14 * grid[1])
    assert depth.min() >= 0
    assert_parity(depth, reference_depth(head, preset, tapped, grid))


def test_every_level_has_its_size_at_518x686():
    head = seeded_head("depth-anything-v2-s", LANDSCAPE)
    sizes = {}
    for name in ("layer1_rn", "layer2_rn", "layer3_rn", "layer4_rn", *(f"refinenet{n}" for n in (1, 2, 3, 4))):
        layer = head.scratch.get_submodule(name)
        layer.register_forward_hook(lambda _, __, out, name=name: sizes.update({name: tuple(out.shape[1:])}))
    depth = head(taps(384, LANDSCAPE))
    assert sizes == {
        "layer1_rn": (64, 148, 196),
        "layer2_rn": (64, 74, 98),
        "layer3_rn": (64, 37, 49),
        "layer4_rn": (64, 19, 25),
        "refinenet4": (64, 37, 49),
        "refinenet3": (64, 74, 98),
        "refinenet2": (64, 148, 196),
        "refinenet1": (64, 296, 392),
    }
    assert depth.shape == (1, 1, 518, 686)


@pytest.mark.parametrize("level", range(4))
def test_every_tap_reaches_the_depth(level):
    head = seeded_head("briges-tiny", (9, 9))
    tapped = taps(384, (9, 9))
    before = head(tapped)
    tapped[level] = noise(1, 81, 384, seed=9)
    assert relative_error(head(tapped), before) > CLEARLY_DIFFERENT


def test_the_depth_is_never_negative():
    head = seeded_head("briges-tiny", (9, 9))
    head.scratch.output_conv2[2].bias.fill_(-1.0)
    depth = head(taps(384, (9, 9)))
    assert depth.min() == 0
    assert depth.max() > 0
