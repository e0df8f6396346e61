"""Estimates by hand, their order, and published times that they must not contradict."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from briges.benchmarks.roofline.devices import DEVICES, DeviceLimits
from briges.benchmarks.roofline.estimate import Case, estimate
from briges.export.presets import find_preset
from briges.runtime.errors import InvalidSizeError, UsageError

# 1 TFLOP/s in FP16 and 1 GB/s, so that GFLOP are milliseconds of computing and MB those of moving.
ROUND = DeviceLimits("round", 1.0, 1.0, 0.25, 1.0, 8 * 10**9, False, "derived", "NVIDIA, made up")


def a_case(preset: str = "briges-v2-b", height_px: int = 518, width_px: int = 518, **changes: object) -> Case:
    return dataclasses.replace(Case(find_preset(preset), height_px, width_px), **changes)


def test_a_floor_bound_by_computing_is_work_over_peak() -> None:
    orin = estimate(a_case(), DEVICES["orin-agx-64"])
    # 1547.4 GFLOP at 16 multiprocessors x 2048 FLOP x 1.3 GHz; the documentation's 36 to 91 ms are 100 and 40 % of it.
    assert orin.floor_ms == pytest.approx(1547.4 / (16 * 2048 * 1.3e9 / 1e12), rel=1e-3)
    assert orin.expected_ms == pytest.approx((orin.floor_ms / 0.6, orin.floor_ms / 0.25), rel=1e-6)
    assert {part.limit for part in orin.parts} == {"compute"}


def test_a_floor_bound_by_memory_is_the_least_that_must_move_over_bandwidth() -> None:
    slow_memory = dataclasses.replace(ROUND, fp16_tflops=1000.0)
    case = a_case("depth-anything-v2-s", 28, 28)
    found = estimate(case, slow_memory)
    geometry, head = case.work
    features = 4 * 4 * 384  # four maps of four tokens
    assert geometry.boundary == 3 * 28 * 28 + features
    assert head.boundary == features + 28 * 28
    least = 2 * (geometry.parameters + head.parameters + geometry.boundary + head.boundary)
    moved = 2 * (geometry.parameters + head.parameters + geometry.traffic + head.traffic)
    assert found.floor_ms == pytest.approx(least / 1e9 * 1000)
    assert found.expected_ms == pytest.approx((moved / 1e9 * 1000,) * 2)  # memory has no efficiency to lose
    assert {part.limit for part in found.parts} == {"memory"}


def test_an_interval_divides_the_semantic_part_alone() -> None:
    every, fourth = (estimate(a_case(semantic_interval=n), DEVICES["orin-agx-64"]) for n in (1, 4))
    semantic = next(part for part in every.parts if part.name == "semantic")
    assert fourth.floor_ms == pytest.approx(every.floor_ms - 0.75 * semantic.floor_ms)
    assert fourth.expected_ms[0] == pytest.approx(every.expected_ms[0] - 0.75 * semantic.expected_ms[0])
    assert fourth.refresh_ms == every.expected_ms == every.refresh_ms


def test_single_precision_runs_on_cuda_cores() -> None:
    half, single = (estimate(a_case(precision=precision), ROUND) for precision in ("fp16", "fp32"))
    assert single.floor_ms == pytest.approx(4 * half.floor_ms)
    assert a_case(precision="fp32").weight_bytes == 2 * a_case().weight_bytes


@pytest.mark.parametrize("preset", ["briges-v2-b", "briges-v1-l", "depth-anything-v2-s", "briges-tiny"])
@pytest.mark.parametrize("name", DEVICES)
def test_no_floor_is_above_what_is_expected(preset: str, name: str) -> None:
    for case in (a_case(preset), a_case(preset, 28, 28), a_case(preset, batch=8), a_case(preset, precision="fp32")):
        found = estimate(case, DEVICES[name])
        assert 0 < found.floor_ms <= found.expected_ms[0] <= found.expected_ms[1]
        assert all(0 < part.floor_ms <= part.expected_ms[0] <= part.expected_ms[1] for part in found.parts)


@pytest.mark.parametrize("name", DEVICES)
def test_more_pixels_and_more_images_never_cost_less(name: str) -> None:
    sizes = [estimate(a_case(height_px=side, width_px=side), DEVICES[name]) for side in (28, 252, 518, 756, 1036)]
    batches = [estimate(a_case(batch=batch), DEVICES[name]) for batch in (1, 2, 8)]
    for found in (sizes, batches):
        for smaller, larger in itertools.pairwise(found):
            assert smaller.floor_ms < larger.floor_ms
            assert smaller.expected_ms < larger.expected_ms
            assert smaller.needed_bytes < larger.needed_bytes


@pytest.mark.parametrize(
    ("preset", "device", "published_ms"),
    [
        # README of spacewalk01/depth-anything-tensorrt: TensorRT, FP16, with pre- and postprocessing.
        ("depth-anything-v1-s", "rtx-4090", 3.0),
        ("depth-anything-v1-b", "rtx-4090", 6.0),
        ("depth-anything-v1-l", "rtx-4090", 12.0),
        # README of LiheYoung/Depth-Anything: PyTorch.
        ("depth-anything-v1-s", "a100", 8.0),
        ("depth-anything-v1-b", "a100", 9.0),
        ("depth-anything-v1-l", "a100", 13.0),
        # yester31/Monocular_Depth_Estimation_TRT: TensorRT 10.16, FP16, copies included.
        ("depth-anything-v2-s", "rtx-3080", 4.31),
    ],
)
def test_no_published_time_beats_the_floor(preset: str, device: str, published_ms: float) -> None:
    assert estimate(a_case(preset), DEVICES[device]).floor_ms < published_ms


@pytest.mark.parametrize(
    ("preset", "device", "published_ms"),
    [("depth-anything-v1-l", "rtx-4090", 12.0), ("depth-anything-v1-l", "a100", 13.0)],
)
def test_published_times_of_networks_that_fill_the_device_lie_in_the_range(
    preset: str, device: str, published_ms: float
) -> None:
    best, worst = estimate(a_case(preset), DEVICES[device]).expected_ms
    assert best < published_ms < worst


@pytest.mark.parametrize(("preset", "engine_mb"), [("briges-v2-b", 495.4), ("briges-v2-l", 1495.7)])
def test_weights_are_what_an_engine_was_measured_to_hold(preset: str, engine_mb: float) -> None:
    assert a_case(preset).weight_bytes / 1e6 == pytest.approx(engine_mb, rel=0.03)


@pytest.mark.parametrize(("preset", "measured_mb"), [("briges-v2-b", 81.7), ("briges-v2-l", 125.5)])
def test_activations_are_within_a_quarter_below_what_tensorrt_rtx_took(preset: str, measured_mb: float) -> None:
    assert 0.75 * measured_mb < a_case(preset).activation_bytes / 1e6 <= measured_mb


def test_what_fits_depends_on_weights_runtime_and_who_else_uses_the_memory() -> None:
    case = a_case("briges-v2-l")
    needed = case.weight_bytes + case.activation_bytes + 1_000_000_000
    card = dataclasses.replace(ROUND, memory_bytes=needed)
    assert estimate(case, card).fits
    assert not estimate(case, dataclasses.replace(card, memory_bytes=needed - 1)).fits
    board = dataclasses.replace(card, shared=True)
    assert not estimate(case, board).fits
    assert estimate(case, board).needed_bytes == needed + 1_500_000_000


@pytest.mark.parametrize(("height_px", "width_px", "cure"), [(520, 518, "use 518 instead of 520"), (518, 0, "use 28 ")])
def test_a_size_that_no_encoder_can_have_is_refused(height_px: int, width_px: int, cure: str) -> None:
    with pytest.raises(InvalidSizeError, match=f"multiples of 14 from 28 to 4088(.|\n)*{cure}"):
        a_case(height_px=height_px, width_px=width_px)


def test_an_interval_without_semantics_is_refused() -> None:
    with pytest.raises(UsageError, match="4 for depth-anything-v2-s, which has no semantic encoder"):
        a_case("depth-anything-v2-s", semantic_interval=4)
