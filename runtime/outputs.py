"""Depth to files: 16-bit PNG, NumPy array, colour picture. Each is whole or absent."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from briges.runtime.files import replacing, translated
from briges.runtime.postprocess import colourise, to_uint16

# zlib's fastest: at its default level the two PNGs of a photograph take longer to write than a GPU needs for the depth,
# for files a tenth smaller.
_PNG_COMPRESSION = 1


def prepare_folder(out: Path) -> None:
    """Create ``out`` with its parents, and prove that a file can be written there. Raises OutputError."""
    with translated(out):
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(b"\n")


def write_png16(path: Path, depth: NDArray[np.float32], notices: Sequence[str] = ()) -> None:
    """Write inverse depth [H, W] as 16-bit grey PNG over its full range; near is bright.

    The text fields ``briges:low`` and ``briges:high`` hold the range: value = low + pixel / 65535 * (high - low).
    ``briges:notice`` holds what must be known before the depth is believed. Raises OutputError.
    """
    pixels, low, high = to_uint16(depth)
    text = {
        "briges:meaning": "relative inverse depth, larger is nearer: value = low + pixel / 65535 * (high - low)",
        "briges:low": repr(low),
        "briges:high": repr(high),
    }
    _write_png(path, pixels, text, notices)


def write_npy(path: Path, depth: NDArray[np.float32]) -> None:
    """Write inverse depth, float32 [H, W], as a .npy file, unscaled. Raises OutputError."""
    array = np.ascontiguousarray(depth)
    header: dict[str, Any] = npy_format.header_data_from_array_1_0(array)
    # Not numpy.save: where a disk is full its error does not say so.
    with replacing(path) as temporary, temporary.open("wb") as stream:
        npy_format.write_array_header_1_0(stream, header)
        stream.write(array.data)


def write_color(path: Path, picture: NDArray[np.uint8], notices: Sequence[str] = ()) -> None:
    """Write uint8 RGB [H, W, 3] as PNG. Raises OutputError."""
    _write_png(path, picture, {"briges:meaning": "relative inverse depth, coloured from far to near"}, notices)


def picture(
    depth: NDArray[np.float32],
    colormap: str,
    beside: NDArray[np.uint8] | None = None,
    value_range: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Colour inverse depth [H, W], over its own range or a given one, to uint8 RGB [H, W, 3].

    beside: uint8 RGB [H, W, 3], put on the left of the colours: the result is [H, 2 W, 3].
    """
    coloured = colourise(depth, colormap, value_range)
    return coloured if beside is None else np.concatenate([beside, coloured], axis=1)


def _write_png(path: Path, pixels: NDArray[Any], text: dict[str, str], notices: Sequence[str]) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    if notices:
        info.add_text("briges:notice", "; ".join(notices))
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, "PNG", pnginfo=info, compress_level=_PNG_COMPRESSION)
