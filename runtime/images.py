"""Image files to uint8 RGB arrays, upright, whatever the file's own pixel format is."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from briges.runtime import contracts
from briges.runtime.errors import ImageError
from briges.runtime.preprocess import check_image_size

if TYPE_CHECKING:
    from PIL import Image

# What Pillow calls the formats we open. Its other readers are left out: its EPS reader would run Ghostscript on a file
# that only pretends to be a photograph.
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".mpo"}
    | {".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)

_EXIF_ORIENTATION = 0x0112
_pillow_lock = threading.Lock()


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode one image file to uint8 [height, width, 3], RGB, 0..255.

    - EXIF orientation is applied: the array is as viewers show the photograph.
    - Transparency, in any mode, is composited over white, as most viewers show it.
    - 16-bit grey is divided by 257, so that 65535 becomes 255. (16-bit colour loses its low byte in Pillow itself.)
    - 32-bit integer grey counts as 16-bit grey where it fits into 0..65535; otherwise its own range becomes 0..255.
    - Float grey: its own range of finite values becomes 0..255, NaN and infinities become 0.
    - Bilevel, grey, paletted, CMYK, YCbCr, LAB and HSV are converted by Pillow. Colour profiles are not applied, since
      the pipelines the models were trained with do not apply them either.
    - Of an animation or a multi-page file the first picture.

    Calls from several threads take turns: Pillow's size limit and Python's warning filters belong to the whole process.
    Raises ImageError if there is no such file, it is no image, is damaged or truncated, or has an unusable size. The
    size is checked before the pixels are decoded.
    """
    subject = f"image {path}"
    with _decoder_errors(subject):
        _check_file(path, subject)
    with _pillow(), _decoder_errors(subject), _open(path) as image:
        check_image_size(image.height, image.width, subject)
        image.load()
        return np.ascontiguousarray(_to_rgb(_upright(image)))


def _check_file(path: Path, subject: str) -> None:
    # Not the methods of Path: they raise where the name is too long or a folder may not be searched.
    if os.path.isdir(path):
        came, cure = "is a folder", "name a file; `briges infer` also takes folders"
    elif not os.path.exists(path):
        came, cure = "does not exist", "check the path"
    elif os.path.isfile(path) and os.path.getsize(path) == 0:
        came, cure = "is empty (0 bytes)", "copy or download it again"
    else:
        return
    raise ImageError(subject=subject, came=came, expected="an image file", cure=cure)


@contextlib.contextmanager
def _pillow() -> Iterator[None]:
    """Our size limit instead of Pillow's, and no warnings on the user's terminal."""
    from PIL import Image

    with _pillow_lock, warnings.catch_warnings():
        # About metadata we do not use, and about sizes, which check_image_size judges.
        warnings.simplefilter("ignore")
        limit_px = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = contracts.MAX_SIDE_PX**2
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit_px


@contextlib.contextmanager
def _decoder_errors(subject: str) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, struct.error, ... on damaged files
        raise ImageError(
            subject=subject,
            came=_reason(error),
            expected="a whole image file: " + ", ".join(_FORMATS),
            cure="open it in a viewer to see whether it is whole; copy it again, or convert it to PNG or JPEG",
        ) from error


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "is not an image, or of a format that is not supported"
    if isinstance(error, Image.DecompressionBombError):
        return f"is too large: {error}"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read: {error.strerror}"
    return f"is damaged or truncated: {error or type(error).__name__}"


def _open(path: Path) -> Image.Image:
    from PIL import Image

    Image.init()  # fills OPEN, which depends on how this Pillow was built
    return Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])


def _upright(image: Image.Image) -> Image.Image:
    from PIL.Image import Transpose

    if image.format == "TIFF":
        return image  # Pillow turns TIFFs while loading, and in some releases leaves the orientation in the metadata
    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    try:
        # Not ImageOps.exif_transpose: it also writes the EXIF block back, which fails on odd but harmless ones.
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # the pixels were decoded: damaged metadata is no reason to refuse them
        orientation = None
    return image.transpose(turns[orientation]) if orientation in turns else image


def _to_rgb(image: Image.Image) -> NDArray[Any]:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = _deep_grey(np.asarray(image))
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)  # [H, W] -> [H, W, 3]
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        return _over_white(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _over_white(rgba: NDArray[Any]) -> NDArray[np.uint8]:
    alpha = rgba[:, :, 3:].astype(np.uint16)
    blended = (rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255  # at most 65152: fits uint16
    return blended.astype(np.uint8)


def _deep_grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16-bit, 32-bit or float [H, W] to uint8 by the rules of read_image."""
    if values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= 65535:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    span = high - low or 1.0
    scaled = (np.where(finite, values, low).astype(np.float64) - low) / span
    return np.rint(scaled * 255).astype(np.uint8)
