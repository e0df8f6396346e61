"""Pre- and post-processing on the GPU: launches the image kernels that are package data.

Nothing here allocates or waits: every method queues kernels on a stream, inside ``Device.current``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from briges.runtime.cuda.device import Device, Kernel, ParameterType, Stream
from briges.runtime.cuda.kernel_table import TABLE_FILE, ImageKernel, KernelTable
from briges.runtime.errors import BackendError
from briges.runtime.postprocess import HISTOGRAM_BINS, percentile_ranks
from briges.runtime.preprocess import Placement
from briges.runtime.records import RecordError, from_object, parse_json
from briges.runtime.semantics import GRID
from briges.runtime.sidecar import ImageInput

# Bytes of the device buffers that the caller owns: float32 [2], and int32 [HISTOGRAM_BINS].
LIMITS_BYTES = 8
HISTOGRAM_BYTES = 4 * HISTOGRAM_BINS


@dataclass(frozen=True)
class SourceImage:
    """A photograph the device can read: uint8 [height, width, 3], rows ``pitch_bytes`` apart, RGB or BGR."""

    pointer: int
    height: int
    width: int
    pitch_bytes: int
    bgr: bool


class ImageKernels:
    """The image kernels of one device. Raises BackendError for a file that is missing or altered."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._table, texts = read_kernels()
        self._kernels: dict[str, Kernel] = {}
        for name, kernel in self._table.items():
            parameters: list[ParameterType] = [*kernel.parameters]
            parameters += ["pointer"] * kernel.hidden_parameters
            self._kernels[name] = device.load_kernel(
                texts[name], kernel.entry, parameters, kernel.threads, kernel.shared_bytes
            )

    def fill_depth_input(
        self, source: SourceImage, spec: ImageInput, placement: Placement, out_pointer: int, stream: Stream
    ) -> None:
        """Write one slot of the depth input, as ``preprocess.fill_depth_input`` does, within 1 of 255.

        out_pointer: uint8 [H, W, 3] or float32 [3, H, W], as ``spec`` says; overwritten whole.
        """
        name = f"depth_input_{spec.dtype}"
        arguments = [source.pointer, out_pointer, *_of_source(source), spec.height_px, spec.width_px]
        arguments += _of_placement(placement)
        self._launch(name, self._blocks(name, spec), [*arguments, *spec.mean, *spec.std], stream)

    def fill_semantic_input(
        self,
        source: SourceImage,
        depth: ImageInput,
        spec: ImageInput,
        placement: Placement,
        out_pointer: int,
        stream: Stream,
    ) -> None:
        """Write one slot of the semantic input, as ``preprocess.fill_semantic_input`` does, within 1 of 255.

        out_pointer: uint8 [S, S, 3] or float32 [3, S, S], as ``spec`` says; overwritten whole.
        """
        scale = spec.height_px / max(depth.height_px, depth.width_px)
        resized = (int(depth.height_px * scale + 0.5), int(depth.width_px * scale + 0.5))
        taps = (_taps(depth.height_px, resized[0]), _taps(depth.width_px, resized[1]))
        name = f"semantic_input_{spec.dtype}"
        arguments = [source.pointer, out_pointer, *_of_source(source), depth.height_px, depth.width_px]
        arguments += [*_of_placement(placement), *(int(value) for value in np.rint(depth.mean))]
        arguments += [*resized, *taps, spec.height_px, spec.width_px]
        self._launch(name, self._blocks(name, spec), [*arguments, *spec.mean, *spec.std], stream)

    def restore_depth(
        self,
        depth_pointer: int,
        network_width: int,
        placement: Placement,
        height: int,
        width: int,
        out_pointer: int,
        partials_pointer: int,
        stream: Stream,
    ) -> None:
        """Bring one depth map of the network to the photograph's size, as ``restore_size`` of its crop does.

        depth_pointer: float32 [network height, network_width]. out_pointer: float32 [height, width].
        partials_pointer: float32 [n, 2], ``partials_bytes`` long: minima and maxima; NaN where one of the pixels is.
        """
        grid = self._depth_grid(height, width)
        arguments = [depth_pointer, out_pointer, partials_pointer, network_width, *_of_placement(placement)]
        self._launch("depth_output", (*grid, 1), [*arguments, height, width], stream)

    def partials_bytes(self, height: int, width: int) -> int:
        """The size of the partials of a depth map of ``height`` x ``width`` pixels."""
        columns, rows = self._depth_grid(height, width)
        return 8 * columns * rows

    def find_range(self, partials_pointer: int, height: int, width: int, limits_pointer: int, stream: Stream) -> None:
        """Reduce partials to limits_pointer, float32 [2]: minimum and maximum, both NaN if there is a NaN."""
        count = self.partials_bytes(height, width) // 8
        self._launch("range", (1, 1, 1), [partials_pointer, limits_pointer, count], stream)

    def find_percentiles(
        self,
        depth_pointer: int,
        count: int,
        limits_pointer: int,
        percents: tuple[float, float],
        histogram_pointer: int,
        clipped_pointer: int,
        stream: Stream,
    ) -> None:
        """The range without outliers, as ``postprocess.percentile_range`` defines it, to within one bin.

        depth_pointer: float32 [count]. limits_pointer: what ``find_range`` wrote. histogram_pointer: HISTOGRAM_BYTES,
        overwritten. clipped_pointer: float32 [2], written; not ``limits_pointer``.
        """
        self._device.fill(histogram_pointer, 0, HISTOGRAM_BYTES, stream)
        grid = (-(-count // self._table["histogram"].blocks["BLOCK"]), 1, 1)
        self._launch("histogram", grid, [depth_pointer, limits_pointer, histogram_pointer, count], stream)
        ranks = percentile_ranks(count, *percents)
        self._launch("percentile", (1, 1, 1), [histogram_pointer, limits_pointer, clipped_pointer, *ranks], stream)

    def colourise(
        self, depth_pointer: int, count: int, limits_pointer: int, table_pointer: int, out_pointer: int, stream: Stream
    ) -> None:
        """float32 [count] to uint8 [count, 3]: colours of table_pointer, uint8 [256, 3], over the limits, clipped."""
        grid = (-(-count // self._table["colour"].blocks["BLOCK"]), 1, 1)
        self._launch("colour", grid, [depth_pointer, limits_pointer, table_pointer, out_pointer, count], stream)

    def sample_grid(self, source: SourceImage, out_pointer: int, stream: Stream) -> None:
        """Write green at the centres of GRID x GRID equal fields to out_pointer, uint8 [64, 64]."""
        arguments = [source.pointer, out_pointer, source.height, source.width, source.pitch_bytes]
        self._launch("grid", (GRID, 1, 1), arguments, stream)

    def _launch(self, name: str, grid: tuple[int, int, int], arguments: Sequence[int | float], stream: Stream) -> None:
        hidden = [0] * self._table[name].hidden_parameters
        self._kernels[name].launch(grid, [*arguments, *hidden], stream)

    def _blocks(self, name: str, spec: ImageInput) -> tuple[int, int, int]:
        return (-(-spec.height_px * spec.width_px // self._table[name].blocks["BLOCK"]), 1, 1)

    def _depth_grid(self, height: int, width: int) -> tuple[int, int]:
        blocks = self._table["depth_output"].blocks
        return -(-width // blocks["BLOCK"]), -(-height // blocks["ROWS"])


def read_kernels() -> tuple[Mapping[str, ImageKernel], Mapping[str, bytes]]:
    """The table of the packaged kernels and their PTX, both by name. Raises BackendError."""
    folder = resources.files("briges.runtime") / "kernels"
    try:
        table = from_object(KernelTable, parse_json((folder / TABLE_FILE).read_bytes()))
        texts = {name: (folder / kernel.file).read_bytes() for name, kernel in table.kernels.items()}
    except (OSError, RecordError) as error:
        raise _damaged(str(error)) from error
    for name, kernel in table.kernels.items():
        if hashlib.sha256(texts[name]).hexdigest() != kernel.sha256:
            raise _damaged(f"{kernel.file} is not the file that was compiled")
    return table.kernels, texts


def _damaged(came: str) -> BackendError:
    return BackendError(
        subject="image kernels",
        came=came,
        expected="the kernels of this release, unaltered",
        cure="install briges-trt again",
    )


def _of_source(source: SourceImage) -> list[int | float]:
    return [source.height, source.width, source.pitch_bytes, int(source.bgr)]


def _of_placement(placement: Placement) -> list[int | float]:
    return [placement.top, placement.left, placement.height, placement.width]


def _taps(canvas_px: int, resized_px: int) -> int:
    """How many canvas pixels Pillow's filter spans at most, twice its support of max(canvas / resized, 1)."""
    return max(-(-2 * canvas_px // resized_px), 2)
