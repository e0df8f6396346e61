"""Says plainly what cannot be, and computes which option would."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from briges.benchmarks.roofline.devices import DeviceLimits
from briges.benchmarks.roofline.estimate import EFFICIENCIES, Case, Estimate, estimate
from briges.export.presets import PRESETS
from briges.runtime.contracts import PATCH_PX

LONGEST_INTERVAL = 8
# The shorter side of the smallest input that published deployments of Depth Anything use is about 256.
_SMALLEST_SIDE_PX = 18 * PATCH_PX


def advise(case: Case, device: DeviceLimits, fps: float) -> tuple[str, ...]:
    """The verdict, and where it is not good, every option that would do. Raises UsageError as ``estimate``."""
    found = estimate(case, device)
    period_ms = _period_ms(case, fps)
    lines = [_memory(found, device)] if not found.fits else []
    lines.append(_speed(found, device, fps, period_ms))
    if found.fits and found.expected_ms[0] <= period_ms:
        return tuple(lines)
    options = [_describe(case, option, device) for option in find_options(case, device, fps)]
    return (*lines, *(options or ("no preset, size or interval of this release would: take a faster device",)))


def find_options(case: Case, device: DeviceLimits, fps: float) -> tuple[Case, ...]:
    """What fits and is expected to keep ``fps`` at the better efficiency, the least change of each kind.

    Half precision first, and alone if that is enough; then a semantic interval, a smaller input, both if neither is
    enough, and the largest network without gates.
    """

    def works(option: Case) -> bool:
        found = estimate(option, device)
        return found.fits and found.expected_ms[0] <= _period_ms(option, fps)

    def first(options: Iterable[Case]) -> list[Case]:
        return next(([option] for option in options if works(option)), [])

    half = dataclasses.replace(case, precision="fp16") if case.precision == "fp32" else case
    if half != case and works(half):
        return (half,)
    options = first(_rarer(half)) + first(_smaller(half))
    if not options and case.preset.gated:
        options = first(_smaller(dataclasses.replace(half, semantic_interval=LONGEST_INTERVAL)))
    plain = list(_baselines(half))
    options += first(plain) or first(option for baseline in plain[-1:] for option in _smaller(baseline))
    return tuple(options)


def _rarer(case: Case) -> Iterator[Case]:
    if case.preset.gated:
        for interval in range(case.semantic_interval + 1, LONGEST_INTERVAL + 1):
            yield dataclasses.replace(case, semantic_interval=interval)


def _smaller(case: Case) -> Iterator[Case]:
    """Smaller inputs of the same aspect, as near as multiples of 14 come to it, largest first."""
    shorter = min(case.height_px, case.width_px)
    for side in range(shorter - PATCH_PX, _SMALLEST_SIDE_PX - 1, -PATCH_PX):
        height_px, width_px = (
            round(px * side / shorter / PATCH_PX) * PATCH_PX for px in (case.height_px, case.width_px)
        )
        yield dataclasses.replace(case, height_px=height_px, width_px=width_px)


def _baselines(case: Case) -> Iterator[Case]:
    """Networks without gates of the same version that are less work, largest first."""

    def flop(option: Case) -> int:
        return sum(part.flop for part in option.work)

    options = (
        dataclasses.replace(case, preset=preset, semantic_interval=1)
        for preset in PRESETS.values()
        if not preset.gated and preset.layout == case.preset.layout
    )
    yield from sorted((option for option in options if flop(option) < flop(case)), key=flop, reverse=True)


def _period_ms(case: Case, fps: float) -> float:
    return 1000 * case.batch / fps


def _memory(found: Estimate, device: DeviceLimits) -> str:
    needed, there = (value / 1e9 for value in (found.needed_bytes, device.memory_bytes))
    return f"cannot fit on {device.name}: needs {needed:.1f} GB of {there:.0f} GB"


def _speed(found: Estimate, device: DeviceLimits, fps: float, period_ms: float) -> str:
    best, worst = found.expected_ms
    rate = f"real-time ({fps:g} fps, {period_ms:.1f} ms) on {device.name}"
    if found.floor_ms > period_ms:
        return f"cannot be {rate}: floor {milliseconds(found.floor_ms)} ms"
    if best > period_ms:
        return f"unlikely to be {rate}: {milliseconds(best)} ms even at {EFFICIENCIES[0]:.0%} of the peak"
    if worst > period_ms:
        return f"may be {rate}: {milliseconds(best)} to {milliseconds(worst)} ms"
    return f"should be {rate}: {milliseconds(best)} to {milliseconds(worst)} ms"


def _describe(case: Case, option: Case, device: DeviceLimits) -> str:
    found = estimate(option, device)
    changes = [option.preset.name] if option.preset != case.preset else []
    changes += [f"--precision {option.precision}"] if option.precision != case.precision else []
    changes += [f"--size {option.size}"] if option.size != case.size else []
    rarer = option.semantic_interval > case.semantic_interval
    changes += [f"--semantic-interval {option.semantic_interval}"] if rarer else []
    best, worst = map(milliseconds, found.expected_ms)
    text = f"would, at {EFFICIENCIES[0]:.0%} of the peak, with {' '.join(changes)}: {best} to {worst} ms"
    if option.semantic_interval == 1:
        return text
    best, worst = map(milliseconds, found.refresh_ms)
    return f"{text} on average, {best} to {worst} ms for a frame that computes semantics; needs `briges build --split`"


def milliseconds(value: float) -> str:
    """Three digits and no more: an estimate has not even these."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
