"""A photograph to the network's inputs, on the CPU.

The depth branch is resized with OpenCV's cubic kernel (no antialiasing). The semantic branch is brought to the depth
branch's size with OpenCV's linear kernel, then to the longer side of SAM's input with Pillow's antialiased linear
kernel, and stretched to its square. So BriGeS was trained (public code: wodon326/Efficient_BriGeS, and Depth Anything's
transform). Training-time pipelines choose the network size from the photograph; an engine has one fixed size, so here
the photograph is placed inside that size, see ``place``.

Tolerances against the float pipeline: with uint8 inputs 1 of 255 (rounding), in the semantic branch 2 (it is rounded
three times), and where the cubic kernel overshoots 0..255 the value is clipped; with float32 inputs 1e-4 of the range
after normalisation, and in the semantic branch 1 of 255, since Pillow rounds there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from briges.runtime import contracts
from briges.runtime.errors import ImageError
from briges.runtime.sidecar import ImageInput

Fit = Literal["pad", "stretch"]


class Scratch:
    """Memory for what is neither input nor output, kept from photograph to photograph: new memory costs more than the
    copy into it. For one thread at a time.
    """

    def __init__(self) -> None:
        self._values = np.empty((0, 0, 3), np.float32)

    def as_float(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``image`` as float32, until the next call."""
        if self._values.shape != image.shape:
            self._values = np.empty(image.shape, np.float32)
        np.copyto(self._values, image)
        return self._values


@dataclass(frozen=True)
class Placement:
    """Where a photograph lies inside the network's input, in pixels. The rest is padding."""

    top: int
    left: int
    height: int
    width: int

    def crop(self, array: NDArray[Any]) -> NDArray[Any]:
        """The view of ``array`` [H, W, ...] that the photograph covers."""
        return array[self.top : self.top + self.height, self.left : self.left + self.width]


def check_image(image: NDArray[np.uint8]) -> None:
    """Refuse what is not uint8 [H, W, 3] of a usable size. Raises ImageError."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        came = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(
            subject="image",
            came=came,
            expected="a uint8 NumPy array [height, width, 3], RGB",
            cure="convert it first, such as with numpy.asarray(image); `briges infer` reads every common file type",
        )
    check_image_size(image.shape[0], image.shape[1], "image")


def check_image_size(height: int, width: int, subject: str) -> None:
    """Refuse an image or video of unusable size, in pixels, before anything is decoded. Raises ImageError."""
    shorter, longer = sorted((height, width))
    if shorter < contracts.MIN_SIDE_PX or longer > contracts.MAX_SIDE_PX or longer > contracts.MAX_ASPECT * shorter:
        raise ImageError(
            subject=subject,
            came=f"{width}x{height} pixels",
            expected=f"sides of {contracts.MIN_SIDE_PX} to {contracts.MAX_SIDE_PX} pixels, "
            f"the longer at most {contracts.MAX_ASPECT:.0f} times the shorter",
            cure="crop or resize it first",
        )


def lower_bound_size(height: int, width: int, target_height: int, target_width: int) -> tuple[int, int]:
    """The (height, width) Depth Anything's transform chooses: aspect kept, at least the target, multiples of 14."""
    scale = max(target_height / height, target_width / width)
    return _multiple(scale * height, target_height), _multiple(scale * width, target_width)


def _multiple(length: float, minimum: int) -> int:
    patch_px = contracts.PATCH_PX
    nearest = round(length / patch_px) * patch_px  # Python rounds halves to even, as the reference does
    return nearest if nearest >= minimum else math.ceil(length / patch_px) * patch_px


def place(height: int, width: int, spec: ImageInput, fit: Fit) -> Placement:
    """Decide where a photograph of ``height`` x ``width`` pixels goes inside the depth input.

    If the reference pipeline would choose exactly the input's size, or ``fit`` is "stretch", it fills the input. With
    "pad" its aspect is kept otherwise: it is scaled to fit inside, centred, and the rest is the mean colour, which is
    cut off the depth map again.
    """
    full = (spec.height_px, spec.width_px)
    if fit == "stretch" or lower_bound_size(height, width, *full) == full:
        return Placement(0, 0, *full)
    scale = min(full[0] / height, full[1] / width)
    inner_height, inner_width = (
        max(1, min(side, round(scale * length))) for side, length in zip(full, (height, width), strict=True)
    )
    return Placement((full[0] - inner_height) // 2, (full[1] - inner_width) // 2, inner_height, inner_width)


def fill_depth_input(
    image: NDArray[np.uint8],
    spec: ImageInput,
    placement: Placement,
    out: NDArray[Any],
    *,
    bgr: bool = False,
    scratch: Scratch | None = None,
) -> None:
    """Write one photograph into the depth input; ``scratch``: of whoever calls for many.

    image: uint8 [h, w, 3] RGB, or BGR as OpenCV has it; out: the image's slot of the batch, uint8 [H, W, 3] or float32
    [3, H, W], RGB, overwritten.
    """
    import cv2

    size = (placement.width, placement.height)
    padded = size != (spec.width_px, spec.height_px)
    if spec.dtype == "uint8":
        if padded:
            out[...] = _fill_colour(spec)
        _resize_into(placement.crop(out), image, cv2.INTER_CUBIC, bgr)
        return
    if padded:
        out[...] = 0.0
    resized: Any = cv2.resize((scratch or Scratch()).as_float(image), size, interpolation=cv2.INTER_CUBIC)
    _normalise_into(placement.crop(np.moveaxis(out, 0, -1)), resized, spec, bgr)


def fill_semantic_input(
    image: NDArray[np.uint8],
    depth: ImageInput,
    spec: ImageInput,
    placement: Placement,
    out: NDArray[Any],
    *,
    bgr: bool = False,
) -> None:
    """Write one photograph into the semantic input; it covers the same field of view as the depth input, padding too.

    image: uint8 [h, w, 3] RGB, or BGR as OpenCV has it; out: the image's slot of the batch, uint8 [S, S, 3] or float32
    [3, S, S], RGB, overwritten.
    """
    import cv2
    from PIL import Image

    canvas = np.empty((depth.height_px, depth.width_px, 3), np.uint8)
    if (placement.height, placement.width) != canvas.shape[:2]:
        canvas[...] = _fill_colour(depth)
    _resize_into(placement.crop(canvas), image, cv2.INTER_LINEAR, bgr)
    scale = spec.height_px / max(depth.height_px, depth.width_px)
    longest = (int(depth.width_px * scale + 0.5), int(depth.height_px * scale + 0.5))
    resized = np.asarray(Image.fromarray(canvas).resize(longest, Image.Resampling.BILINEAR))
    square = (spec.width_px, spec.height_px)
    if spec.dtype == "uint8":
        out[...] = cv2.resize(resized, square, interpolation=cv2.INTER_LINEAR) if longest != square else resized
        return
    values = resized.astype(np.float32)
    # Stretched before it is normalised: the weights sum to 1, so the order makes no difference.
    stretched: Any = cv2.resize(values, square, interpolation=cv2.INTER_LINEAR) if longest != square else values
    _normalise_into(np.moveaxis(out, 0, -1), stretched, spec, bgr=False)


def _resize_into(crop: NDArray[np.uint8], image: NDArray[np.uint8], interpolation: int, bgr: bool) -> None:
    """Resize ``image`` to ``crop``, a view, without an array in between; channels become RGB."""
    import cv2

    size = (crop.shape[1], crop.shape[0])
    written = cv2.resize(np.ascontiguousarray(image), size, dst=crop, interpolation=interpolation)
    # OpenCV ignores a dst that it cannot write, and returns another array.
    assert np.shares_memory(written, crop)
    if bgr:
        cv2.cvtColor(crop, cv2.COLOR_BGR2RGB, dst=crop)


def _fill_colour(spec: ImageInput) -> NDArray[np.uint8]:
    return np.rint(np.array(spec.mean)).astype(np.uint8)


def _normalise_into(out: NDArray[np.float32], image: NDArray[np.float32], spec: ImageInput, bgr: bool) -> None:
    """(image - mean) / std into ``out``, both [H, W, 3]; ``out`` is RGB and may be a view of planes."""
    # Plane by plane: a sixth of the time of all channels at once, whose rows of three defeat vector instructions.
    for channel, (mean, std) in enumerate(zip(spec.mean, spec.std, strict=True)):
        plane = out[:, :, channel]
        np.subtract(image[:, :, 2 - channel if bgr else channel], np.float32(mean), out=plane)
        np.divide(plane, np.float32(std), out=plane)
