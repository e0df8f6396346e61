"""What devices can do at most, each figure with where it is from.

Peaks are dense: half of what data sheets call sparse. FP16 is the fastest rate of the tensor cores. GeForce cards halve
it where products are summed in FP32; TensorRT may sum in FP16, and a published time (Depth Anything V3 metric, ViT-L,
19.9 ms on an RTX 3080, yester31/Monocular_Depth_Estimation_TRT) is beyond the halved peak, so a floor must not use it.
BF16 always sums in FP32. FP32 is the rate of the CUDA cores: engines here are built without TF32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from briges.runtime.agreement import Precision
from briges.runtime.errors import UsageError, unknown_name

# Of one streaming multiprocessor of Orin in a cycle: 4 tensor cores of 512, and 128 CUDA cores of 2. Its clock times
# four times the first is the sparse INT8 rate that NVIDIA publishes: 67 TOPS of Orin Nano at 1.02 GHz.
_ORIN_FP16, _ORIN_FP32 = 2048, 256

_SUPER = "NVIDIA's JetPack 6.2 'Super Mode' clocks and Jetson Linux Developer Guide"
_ADA = "NVIDIA Ada GPU architecture whitepaper, appendix"
_GA102 = "NVIDIA Ampere GA102 GPU architecture whitepaper, appendix"


@dataclass(frozen=True)
class DeviceLimits:
    """One device in its fastest power mode.

    fp16_tflops, bf16_tflops, fp32_tflops: 10^12 FLOP/s; None: it cannot
    bandwidth_gb_s: 10^9 bytes per second; memory_bytes: as sold, 10^9 bytes to the GB
    shared: whether CPU and operating system use the same memory
    basis: "derived" where the peak is computed from clock and cores
    """

    name: str
    fp16_tflops: float
    bf16_tflops: float | None
    fp32_tflops: float
    bandwidth_gb_s: float
    memory_bytes: int
    shared: bool
    basis: Literal["published", "derived"]
    source: str

    def peak_tflops(self, precision: Precision) -> float:
        """The peak in one precision. Raises UsageError if the device has none."""
        peak = {"fp16": self.fp16_tflops, "bf16": self.bf16_tflops, "fp32": self.fp32_tflops}[precision]
        if peak is None:
            raise UsageError(
                subject=f"--precision {precision}",
                came=f"asked for {self.name}, whose tensor cores do not have it",
                expected="fp16 or fp32",
                cure="use --precision fp16",
            )
        return peak


def _orin(
    name: str, processors: int, clock_ghz: float, bandwidth_gb_s: float, memory_gb: int, source: str
) -> DeviceLimits:
    fp16, fp32 = (processors * clock_ghz * rate / 1000 for rate in (_ORIN_FP16, _ORIN_FP32))
    told = f"{source}: {processors} multiprocessors at {clock_ghz * 1000:g} MHz"
    return DeviceLimits(name, fp16, fp16, fp32, bandwidth_gb_s, memory_gb * 10**9, True, "derived", told)


def _card(
    name: str,
    fp16_tflops: float,
    bf16_tflops: float | None,
    fp32_tflops: float,
    bandwidth_gb_s: float,
    memory_gb: int,
    source: str,
    basis: Literal["published", "derived"] = "published",
) -> DeviceLimits:
    memory_bytes = memory_gb * 10**9
    return DeviceLimits(name, fp16_tflops, bf16_tflops, fp32_tflops, bandwidth_gb_s, memory_bytes, False, basis, source)


_AGX = "NVIDIA Jetson AGX Orin series data sheet"

DEVICES: dict[str, DeviceLimits] = {
    device.name: device
    for device in (
        _orin("orin-agx-64", 16, 1.3, 204.8, 64, _AGX),
        _orin("orin-agx-32", 14, 0.93, 204.8, 32, _AGX),
        _orin("orin-nx-16", 8, 1.173, 102.4, 16, f"NVIDIA Jetson Orin NX series data sheet, {_SUPER}"),
        _orin("orin-nx-8", 8, 1.173, 102.4, 8, f"NVIDIA Jetson Orin NX series data sheet, {_SUPER}"),
        _orin("orin-nano", 8, 1.02, 102.0, 8, f"NVIDIA Jetson Orin Nano series data sheet, {_SUPER}"),
        _orin("orin-nano-4", 4, 1.02, 51.0, 4, f"NVIDIA Jetson Orin Nano series data sheet, {_SUPER}"),
        DeviceLimits(
            "thor",
            fp16_tflops=258.5,
            bf16_tflops=258.5,
            fp32_tflops=8.06,
            bandwidth_gb_s=273.0,
            memory_bytes=128 * 10**9,
            shared=True,
            basis="derived",
            source="NVIDIA Jetson T5000 (AGX Thor) data sheet: an eighth of 2070 sparse FP4 TFLOP/s, 2560 CUDA cores "
            "at 1.575 GHz",
        ),
        _card("h200", 989.5, 989.5, 67, 4800, 141, "NVIDIA H200 data sheet, SXM: half of the sparse figure"),
        _card("h100", 989.5, 989.5, 67, 3350, 80, "NVIDIA H100 data sheet, SXM: half of the sparse figure"),
        _card("a100", 312, 312, 19.5, 2039, 80, "NVIDIA A100 80GB data sheet, SXM"),
        _card("l4", 121, 121, 30.3, 300, 24, "NVIDIA L4 data sheet: half of the sparse figure"),
        _card("t4", 65, None, 8.1, 320, 16, "NVIDIA T4 data sheet"),
        _card("rtx-5090", 419, 209.5, 104.8, 1792, 32, "NVIDIA RTX Blackwell GPU architecture whitepaper, appendix"),
        _card("rtx-4090", 330.3, 165.2, 82.6, 1008, 24, _ADA),
        _card("rtx-4080", 194.9, 97.5, 48.7, 716.8, 16, _ADA),
        _card(
            "rtx-4070",
            116.6,
            58.3,
            29.1,
            504,
            12,
            "NVIDIA GeForce RTX 4070 specifications: 46 multiprocessors at 2475 MHz, rates per multiprocessor as in "
            "the Ada whitepaper",
            "derived",
        ),
        _card("rtx-3090", 142, 71, 35.6, 936, 24, _GA102),
        _card("rtx-3080", 119, 59.5, 29.8, 760, 10, _GA102),
    )
}


def find_device(name: str) -> DeviceLimits:
    """The device called ``name``. Raises UnknownNameError naming the nearest."""
    if name not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    return DEVICES[name]
