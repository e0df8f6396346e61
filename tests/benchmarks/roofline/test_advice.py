"""What is said to be impossible is, and what is said to help does when it is computed again."""

from __future__ import annotations

import dataclasses

import pytest

from briges.benchmarks.roofline.advice import LONGEST_INTERVAL, advise, find_options
from briges.benchmarks.roofline.devices import DEVICES
from briges.benchmarks.roofline.estimate import Case, estimate
from briges.export.presets import find_preset

PRESETS = ["briges-v2-b", "briges-v1-l", "depth-anything-v2-l", "briges-tiny"]


def a_case(preset: str = "briges-v2-b", height_px: int = 518, width_px: int = 518, **changes: object) -> Case:
    return dataclasses.replace(Case(find_preset(preset), height_px, width_px), **changes)


def reaches(case: Case, device: str, fps: float) -> bool:
    found = estimate(case, DEVICES[device])
    return found.fits and found.expected_ms[0] <= 1000 * case.batch / fps


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("fps", [5.0, 30.0, 120.0])
def test_every_option_reaches_the_target_when_it_is_computed_again(preset: str, device: str, fps: float) -> None:
    for case in (a_case(preset), a_case(preset, 518, 924, precision="fp32"), a_case(preset, batch=4)):
        for option in find_options(case, DEVICES[device], fps):
            assert reaches(option, device, fps)
            assert option != case


def test_an_interval_is_the_shortest_that_is_enough() -> None:
    interval = next(
        option.semantic_interval
        for option in find_options(a_case(), DEVICES["orin-agx-64"], 30)
        if option.size == "518x518" and option.preset.gated
    )
    assert 1 < interval <= LONGEST_INTERVAL
    assert not reaches(a_case(semantic_interval=interval - 1), "orin-agx-64", 30)


def test_a_smaller_input_is_the_largest_that_is_enough_and_keeps_the_aspect() -> None:
    case = a_case("depth-anything-v2-l", 518, 924)
    smaller = next(o for o in find_options(case, DEVICES["orin-agx-64"], 30) if o.preset == case.preset)
    assert smaller.height_px % 14 == smaller.width_px % 14 == 0
    assert smaller.width_px / smaller.height_px == pytest.approx(924 / 518, abs=0.03)
    next_px = smaller.height_px + 14
    one_up = dataclasses.replace(smaller, height_px=next_px, width_px=round(next_px * 924 / 518 / 14) * 14)
    assert not reaches(one_up, "orin-agx-64", 30)


def test_the_network_without_gates_is_the_largest_that_is_enough() -> None:
    options = find_options(a_case("briges-v1-l"), DEVICES["orin-agx-64"], 30)
    assert [option.preset.name for option in options if not option.preset.gated] == ["depth-anything-v1-b"]
    assert not reaches(a_case("depth-anything-v1-l"), "orin-agx-64", 30)


def test_half_precision_alone_is_the_answer_where_it_is_enough() -> None:
    (option,) = find_options(a_case(precision="fp32"), DEVICES["rtx-4090"], 30)
    assert option == a_case()
    text = " ".join(advise(a_case(precision="fp32", height_px=770), DEVICES["a100"], 30))
    assert "cannot be real-time (30 fps, 33.3 ms) on a100: floor" in text
    assert "with --precision fp16:" in text


def test_what_cannot_be_real_time_is_said_with_its_floor_and_what_would() -> None:
    verdict, *options = advise(a_case(), DEVICES["orin-agx-64"], 30)
    assert verdict == "cannot be real-time (30 fps, 33.3 ms) on orin-agx-64: floor 36.3 ms"
    assert options == [
        "would, at 60% of the peak, with --semantic-interval 4: 32.2 to 77.3 ms on average, 60.5 to 145 ms for a "
        "frame that computes semantics; needs `briges build --split`",
        "would, at 60% of the peak, with depth-anything-v2-b: 14.9 to 35.7 ms",
    ]


@pytest.mark.parametrize(
    ("device", "verdict"),
    [
        ("t4", "unlikely to be real-time (30 fps, 33.3 ms) on t4: 39.7 ms even at 60% of the peak"),
        ("l4", "may be real-time (30 fps, 33.3 ms) on l4: 21.5 to 51.2 ms"),
        ("h200", "should be real-time (30 fps, 33.3 ms) on h200: 2.61 to 6.26 ms"),
    ],
)
def test_the_verdict_follows_where_the_target_lies_in_the_range(device: str, verdict: str) -> None:
    assert advise(a_case(), DEVICES[device], 30)[0] == verdict


def test_nothing_is_advised_where_the_target_is_in_reach() -> None:
    assert len(advise(a_case(), DEVICES["l4"], 30)) == len(advise(a_case(), DEVICES["h200"], 30)) == 1


def test_what_cannot_fit_is_said_first_and_what_fits_is_found() -> None:
    case = a_case("briges-v2-l", precision="fp32")
    memory, speed, *options = advise(case, DEVICES["orin-nano-4"], 0.1)
    assert memory.startswith("cannot fit on orin-nano-4: needs ")
    assert speed.startswith("may be real-time (0.1 fps, 10000.0 ms) on orin-nano-4: ")
    assert options
    assert all(
        estimate(option, DEVICES["orin-nano-4"]).fits for option in find_options(case, DEVICES["orin-nano-4"], 0.1)
    )


def test_where_nothing_helps_that_is_said() -> None:
    lines = advise(a_case(), DEVICES["orin-nano-4"], 1000)
    assert lines[-1] == "no preset, size or interval of this release would: take a faster device"
    assert len(lines) == 2


def test_a_batch_has_as_many_periods_as_images() -> None:
    (verdict, *_) = advise(a_case(batch=4), DEVICES["orin-agx-64"], 30)
    assert verdict.startswith("cannot be real-time (30 fps, 133.3 ms)")
