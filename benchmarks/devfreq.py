"""The clock of a Jetson's GPU, from Linux's devfreq: nvidia-smi does not tell it, tegrastats not on every release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from briges.benchmarks.processor import read_text

# 17000000.gpu or .ga10b on Orin; gpu-gpc-0 on Thor.
_NAMES = ("*.gpu", "*.ga10b", "gpu-gpc-*")


@dataclass(frozen=True)
class GpuClock:
    """``lowest_mhz`` is ``highest_mhz`` where jetson_clocks holds it."""

    now_mhz: float
    lowest_mhz: float
    highest_mhz: float

    def __str__(self) -> str:
        held = "locked" if self.lowest_mhz == self.highest_mhz else "not locked"
        return f"{self.now_mhz:.0f} MHz of {self.highest_mhz:.0f} at most, {held}"


def read_gpu_clock(root: Path = Path("/")) -> GpuClock | None:
    """Read it; None where it is not told. ``root``: where the file system begins."""
    for name in _NAMES:
        for folder in sorted((root / "sys/class/devfreq").glob(name)):
            try:
                hertz = [int(read_text(folder / f"{which}_freq")) for which in ("cur", "min", "max")]
            except ValueError:  # not told
                continue
            return GpuClock(*(value / 1e6 for value in hertz))
    return None
