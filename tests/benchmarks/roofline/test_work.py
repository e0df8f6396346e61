"""The counted work against what torch counts for the real modules, and against what an engine was measured to take."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from briges.benchmarks.roofline.work import ComponentWork, count_work, gflop_of
from briges.export.model import DepthModel
from briges.export.presets import PRESETS, Preset, find_preset
from briges.runtime.errors import UnknownNameError

CASES = [
    ("briges-v2-b", 518, 518),
    ("briges-v2-b", 518, 686),
    ("briges-v2-l", 518, 518),
    ("briges-v2-l", 518, 1792),
    ("briges-v1-b", 252, 364),
    ("depth-anything-v2-s", 518, 518),
    ("depth-anything-v2-b", 308, 518),
    ("briges-tiny", 126, 126),
]


def real_model(preset: Preset, height_px: int, width_px: int) -> DepthModel:
    with torch.device("meta"):
        model = DepthModel(preset, height_px, width_px)
        model.bake_constants()
    return model.eval()


def torch_flop(preset: Preset, height_px: int, width_px: int) -> dict[str, int]:
    """FLOP by part as torch's dispatcher sees them; shapes alone, nothing is computed."""
    model = real_model(preset, height_px, width_px)
    image = torch.empty(1, 3, height_px, width_px, device="meta")
    found, features, semantic = {}, [], None

    def counted(name: str, module: nn.Module, *inputs: object) -> Tensor | list[Tensor]:
        with FlopCounterMode(display=False) as counter:
            out = module(*inputs)
        found[name] = found.get(name, 0) + counter.get_total_flops()
        return out

    with torch.no_grad():
        features = counted("geometry", model.geometry, image)
        if preset.semantic is not None:
            side = preset.semantic.image_px
            semantic = counted("semantic", model.semantic, torch.empty(1, 3, side, side, device="meta"))
            aligned = counted("gates", model.aligner, semantic)
            gated = zip(model.gates, features, aligned, strict=True)
            features = [counted("gates", gate, depth, own) for gate, depth, own in gated]
        counted("head", model.head, features)
    return found


def torch_parameters(model: DepthModel, part: str) -> int:
    modules = [model.gates, model.aligner] if part == "gates" else [getattr(model, part)]
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def by_name(preset: str, height_px: int, width_px: int) -> dict[str, ComponentWork]:
    return {part.name: part for part in count_work(find_preset(preset), height_px, width_px)}


@pytest.mark.parametrize(("preset", "height_px", "width_px"), CASES)
def test_operations_are_those_torch_counts(preset: str, height_px: int, width_px: int) -> None:
    ours = {name: part.flop for name, part in by_name(preset, height_px, width_px).items()}
    assert ours == torch_flop(find_preset(preset), height_px, width_px)


@pytest.mark.parametrize("preset", PRESETS)
def test_parameters_are_those_of_the_real_modules(preset: str) -> None:
    model = real_model(find_preset(preset), 518, 518)
    for name, part in by_name(preset, 518, 518).items():
        assert part.parameters == torch_parameters(model, name), name


def test_the_aligner_of_the_later_variants_is_counted_too() -> None:
    preset = dataclasses.replace(find_preset("briges-v2-b"), aligner="conv")
    gates = next(part for part in count_work(preset, 518, 518) if part.name == "gates")
    assert gates.flop == torch_flop(preset, 518, 518)["gates"]
    assert gates.parameters == torch_parameters(real_model(preset, 518, 518), "gates")


@pytest.mark.parametrize(
    ("preset", "gflop"),
    [
        ("briges-v2-b", (303.1, 965.6, 201.1, 77.6)),
        ("briges-v2-l", (1013.6, 2978.7, 337.0, 290.6)),
    ],
)
def test_the_figures_of_the_documentation_come_out(preset: str, gflop: tuple[float, ...]) -> None:
    parts = by_name(preset, 518, 518)
    assert list(parts) == ["geometry", "semantic", "gates", "head"]
    assert [part.flop / 1e9 for part in parts.values()] == pytest.approx(gflop, rel=1e-3)
    assert gflop_of(preset, 518, 518) == pytest.approx(sum(gflop), rel=1e-3)


def test_a_batch_is_as_many_images() -> None:
    assert gflop_of("briges-tiny", 126, 126, batch=3) == pytest.approx(3 * gflop_of("briges-tiny", 126, 126))


def test_a_preset_without_gates_has_no_semantic_part() -> None:
    assert list(by_name("depth-anything-v2-s", 518, 518)) == ["geometry", "head"]


def test_a_preset_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'briges-v2-b'"):
        gflop_of("briges-v2-bb", 518, 518)


def test_the_traffic_of_one_small_network_is_what_a_count_by_hand_gives() -> None:
    head = by_name("depth-anything-v2-s", 28, 28)["head"]
    # 4 tokens of 384 channels; levels of 64, 16, 4 and 1 pixels, 256 after the last fusion, 784 of depth; 64 features.
    projected = sum(4 * (384 + count) for count in (48, 96, 192, 384))
    resized = 48 * (4 + 64) + 96 * (4 + 16) + 384 * (4 + 1)
    levels = sum(pixels * (count + 64) for pixels, count in ((64, 48), (16, 96), (4, 192), (1, 384)))
    refined = 2 * 64 * (2 * 1 + 4 * (4 + 16 + 64))
    fused = sum(64 * (source + target) + 2 * 64 * target for source, target in ((1, 4), (4, 16), (16, 64), (64, 256)))
    last = 256 * (64 + 32) + 32 * (256 + 784) + 784 * (32 + 32) + 784 * (32 + 1)
    assert head.traffic == projected + resized + levels + refined + fused + last


@pytest.mark.parametrize("preset", ["briges-v2-b", "briges-tiny", "depth-anything-v2-s"])
def test_a_part_moves_at_least_what_enters_and_leaves_it(preset: str) -> None:
    for part in by_name(preset, 518, 518).values():
        assert 0 < part.boundary <= part.traffic, part.name
