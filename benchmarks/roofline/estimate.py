"""From counted work and a device's limits to milliseconds that nobody measured.

Parts run one after another: two encoders may overlap, but they share the chip, so nothing is gained at its limits.
Of each part, for a batch B, with its weights read once per inference:

    floor:           max(flop B / peak, (weights + boundary B) bytes / bandwidth)
    expected at e:   max(flop B / (e peak), (weights + traffic B) bytes / bandwidth)

A cache may hold what passes between layers, so the floor does not count it; the expectation does. The semantic part is
divided by its interval: times are means over frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from briges.benchmarks.roofline.devices import DeviceLimits
from briges.benchmarks.roofline.work import ComponentWork, count_work
from briges.export.presets import Preset
from briges.runtime.agreement import Precision
from briges.runtime.contracts import PATCH_PX
from briges.runtime.errors import InvalidSizeError, UsageError

# Shares of the FP16 peak, best first: where published times of such networks lie, by the FLOP counted here.
EFFICIENCIES = (0.6, 0.25)
EFFICIENCY_SOURCE = (
    "range: published FP16 times of such networks come to 25 % (NanoOWL ViT-B/32, AGX Orin), 33 % (Depth Anything V1 "
    "ViT-L, RTX 4090, spacewalk01/depth-anything-tensorrt), 35 % (NanoOWL ViT-B/16, AGX Orin), 37 % (ViT-B/16, Orin "
    "Nano, onnxsim/onnxsim#1742) and 52 % (V3 metric ViT-L, RTX 3080, yester31/Monocular_Depth_Estimation_TRT) of the "
    "peak; a small network does not fill a large GPU and comes out below: ViT-S 12 % on the RTX 4090"
)
WORK_SOURCE = "work: counted from the layers, 2 FLOP per multiply-add, matrix products and convolutions alone"

# Python, the CUDA context, TensorRT and its kernels: not measured on a device. Where memory is shared, Jetson Linux
# without a desktop on top.
RUNTIME_BYTES = 1_000_000_000
SYSTEM_BYTES = 1_500_000_000

_ITEM_BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "bf16": 2}
_LARGEST_PX, _SMALLEST_PX = 292 * PATCH_PX, 2 * PATCH_PX


@dataclass(frozen=True)
class Case:
    """What is estimated: a preset at one input size. ``semantic_interval`` above 1 needs a split bundle."""

    preset: Preset
    height_px: int
    width_px: int
    precision: Precision = "fp16"
    batch: int = 1
    semantic_interval: int = 1

    def __post_init__(self) -> None:
        _check_size(self.height_px, self.width_px)
        if self.semantic_interval > 1 and not self.preset.gated:
            raise UsageError(
                subject="--semantic-interval",
                came=f"{self.semantic_interval} for {self.preset.name}, which has no semantic encoder",
                expected="1",
                cure="leave it out",
            )

    @property
    def size(self) -> str:
        """Height x width, such as "518x686"."""
        return f"{self.height_px}x{self.width_px}"

    @property
    def work(self) -> tuple[ComponentWork, ...]:
        """The parts, for one image."""
        return count_work(self.preset, self.height_px, self.width_px)

    def moved_bytes(self, part: ComponentWork) -> int:
        """Its weights, and what its layers read and write, for the batch."""
        return _ITEM_BYTES[self.precision] * (part.parameters + part.traffic * self.batch)

    def least_bytes(self, part: ComponentWork) -> int:
        """Its weights, what enters and what leaves it, for the batch."""
        return _ITEM_BYTES[self.precision] * (part.parameters + part.boundary * self.batch)

    @property
    def weight_bytes(self) -> int:
        """Of all parts."""
        return _ITEM_BYTES[self.precision] * sum(part.parameters for part in self.work)

    @property
    def activation_bytes(self) -> int:
        """The most that is alive at once, for the batch. An estimate: TensorRT-RTX was seen to take a fifth more."""
        item = _ITEM_BYTES[self.precision]
        return self.batch * max(item * part.alive + 4 * part.alive_fp32 for part in self.work)


@dataclass(frozen=True)
class PartTime:
    """Of one part: milliseconds of the frames that compute it. ``limit``: what holds it back at the best efficiency."""

    name: str
    floor_ms: float
    expected_ms: tuple[float, ...]
    limit: Literal["compute", "memory"]


@dataclass(frozen=True)
class Estimate:
    """Milliseconds per inference of the batch, means over frames. ``expected_ms``: at ``EFFICIENCIES``.

    ``refresh_ms``: expected for a frame that computes the semantic part. ``needed_bytes``: weights, activations, the
    runtime and what the system takes of a shared memory.
    """

    parts: tuple[PartTime, ...]
    floor_ms: float
    expected_ms: tuple[float, ...]
    refresh_ms: tuple[float, ...]
    needed_bytes: int
    fits: bool


def estimate(case: Case, device: DeviceLimits) -> Estimate:
    """The roofline of ``case`` on ``device``. Raises UsageError for a precision the device has not."""
    parts = tuple(_part_time(case, part, device) for part in case.work)
    shares = [1 / case.semantic_interval if part.name == "semantic" else 1.0 for part in parts]
    ends = range(len(EFFICIENCIES))
    system = SYSTEM_BYTES if device.shared else 0
    needed = case.weight_bytes + case.activation_bytes + RUNTIME_BYTES + system
    return Estimate(
        parts=parts,
        floor_ms=sum(part.floor_ms * share for part, share in zip(parts, shares, strict=True)),
        expected_ms=tuple(
            sum(part.expected_ms[end] * share for part, share in zip(parts, shares, strict=True)) for end in ends
        ),
        refresh_ms=tuple(sum(part.expected_ms[end] for part in parts) for end in ends),
        needed_bytes=needed,
        fits=needed <= device.memory_bytes,
    )


def _part_time(case: Case, part: ComponentWork, device: DeviceLimits) -> PartTime:
    compute_ms = part.flop * case.batch / device.peak_tflops(case.precision) / 1e9
    least_ms, moved_ms = (
        count / device.bandwidth_gb_s / 1e6 for count in (case.least_bytes(part), case.moved_bytes(part))
    )
    expected = tuple(max(compute_ms / share, moved_ms) for share in EFFICIENCIES)
    limit: Literal["compute", "memory"] = "memory" if moved_ms > compute_ms / EFFICIENCIES[0] else "compute"
    return PartTime(part.name, max(compute_ms, least_ms), expected, limit)


def _check_size(height_px: int, width_px: int) -> None:
    for side in (height_px, width_px):
        if side % PATCH_PX or not _SMALLEST_PX <= side <= _LARGEST_PX:
            nearest = round(min(max(side, _SMALLEST_PX), _LARGEST_PX) / PATCH_PX) * PATCH_PX
            raise InvalidSizeError(
                subject="input size",
                came=f"{height_px}x{width_px} (height x width)",
                expected=f"multiples of {PATCH_PX} from {_SMALLEST_PX} to {_LARGEST_PX}",
                cure=f"use {nearest} instead of {side}",
            )
