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

from briges.benchmarks.roofline.devices import DeviceLimits
from briges.benchmarks.roofline.work import ComponentWork, count_work
from briges.export.presets import Preset
from briges.runtime.agreement import Precision
from briges.runtime.contracts import PATCH_PX
from briges.runtime.errors import InvalidSizeError, UsageError

# Shares of the FP16 peak, best first. What published times of such networks come to with the FLOP counted here: 33 %
# Depth Anything V1 ViT-L on RTX 4090 (12 ms, spacewalk01/depth-anything-tensorrt), 52 % V3 metric ViT-L on RTX 3080
# (yester31/Monocular_Depth_Estimation_TRT), 37 % ViT-B/16 on Orin Nano (onnxsim/onnxsim#1742), 35 % and 25 % NanoOWL
# ViT-B/16 and B/32 on AGX Orin (NVIDIA-AI-IOT/nanoowl). Networks as small as ViT-S at 518 come out below on big GPUs.
EFFICIENCIES = (0.6, 0.25)
EFFICIENCY_SOURCE = (
    "efficiencies: published FP16 times of such networks come to 25 to 52 % of the peak "
    "(NVIDIA-AI-IOT/nanoowl, onnxsim/onnxsim#1742, spacewalk01/depth-anything-tensorrt, "
    "yester31/Monocular_Depth_Estimation_TRT)"
)
WORK_SOURCE = "work: counted from the layers, 2 FLOP per multiply-add, matrix products and convolutions alone"

# Python, the CUDA context, TensorRT and its kernels: not measured on a device. Where memory is shared, Jetson Linux
# without a desktop on top.
_RUNTIME_BYTES = 1_000_000_000
_SYSTEM_BYTES = 1_500_000_000

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
class Estimate:
    """Milliseconds per inference of the batch, means over frames. ``expected_ms``: at ``EFFICIENCIES``.

    ``refresh_ms``: expected for a frame that computes the semantic part. ``needed_bytes``: weights, activations, runtime
    and what the system takes of a shared memory.
    """

    floor_ms: float
    expected_ms: tuple[float, ...]
    refresh_ms: tuple[float, ...]
    needed_bytes: int
    fits: bool


def estimate(case: Case, device: DeviceLimits) -> Estimate:
    """The roofline of ``case`` on ``device``. Raises UsageError for a precision the device has not."""
    peak, bandwidth = device.peak_tflops(case.precision) * 1e12, device.bandwidth_gb_s * 1e9
    work = case.work
    shares = [1 / case.semantic_interval if part.name == "semantic" else 1.0 for part in work]
    floors = [max(part.flop * case.batch / peak, case.least_bytes(part) / bandwidth) for part in work]
    expected = [
        [max(part.flop * case.batch / (share * peak), case.moved_bytes(part) / bandwidth) for part in work]
        for share in EFFICIENCIES
    ]
    system = _SYSTEM_BYTES if device.shared else 0
    needed = case.weight_bytes + case.activation_bytes + _RUNTIME_BYTES + system
    return Estimate(
        floor_ms=_mean_ms(floors, shares),
        expected_ms=tuple(_mean_ms(times, shares) for times in expected),
        refresh_ms=tuple(1000 * sum(times) for times in expected),
        needed_bytes=needed,
        fits=needed <= device.memory_bytes,
    )


def _mean_ms(seconds: list[float], shares: list[float]) -> float:
    return 1000 * sum(time * share for time, share in zip(seconds, shares, strict=True))


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
