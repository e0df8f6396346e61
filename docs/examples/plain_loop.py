"""Depth of a video or a camera, one frame after the other: the loop to start from.

    python plain_loop.py BUNDLE VIDEO OUT.avi      VIDEO may be a camera's number, such as 0

`briges stream` does more: it decodes, infers and encodes at the same time, and drops frames of a live source it cannot
keep up with.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np

from briges.runtime import DepthEstimator
from briges.runtime.errors import BrigesError


def main(bundle: str, source: str, out: str) -> int:
    """Write ``source``'s depth as a grey video, near is bright; the number of frames."""
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    frames, depth, writer = 0, None, None
    # The engine is loaded once, here, which takes seconds. ``bgr``: OpenCV's order of colours.
    with DepthEstimator(bundle, bgr=True) as estimator:
        while True:
            readable, image = capture.read()
            if not readable:
                break
            if writer is None:
                height, width = image.shape[:2]
                depth = np.empty((height, width), np.float32)  # used for every frame: nothing is allocated in the loop
                fps = capture.get(cv2.CAP_PROP_FPS) or 30.0
                writer = cv2.VideoWriter(out, cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height), isColor=False)
                if not writer.isOpened():
                    sys.exit(f"Error: {out} cannot be written: give a folder that exists and a name ending in .avi")
            result = estimator(image, out=depth)
            # Inverse depth without a scale: only the order within a frame means something, so each gets its own range.
            low, high = float(result.depth.min()), float(result.depth.max())
            writer.write(((result.depth - low) * (255 / max(high - low, 1e-6))).astype(np.uint8))
            frames += 1
            print(f"\rframe {frames}: {result.timings.inference_ms:.1f} ms inference", end="", file=sys.stderr)
        for notice in estimator.notices:  # such as random weights
            print(f"\n{notice}", file=sys.stderr)
    capture.release()
    if writer is not None:
        writer.release()
    print(f"{frames} frames")
    return frames


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        sys.exit(0 if main(*sys.argv[1:]) else f"no frame could be read from {sys.argv[2]}")
    except BrigesError as error:  # says what came, what was expected and the cure
        sys.exit(f"Error: {error}")
