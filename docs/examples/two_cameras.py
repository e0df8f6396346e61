"""Two cameras, two threads, one engine in memory.

    python two_cameras.py BUNDLE SOURCE SOURCE     a camera's number such as 0, a video file, or a stream's URL

One estimator may be called from several threads, but they take turns. A clone shares the engine and its weights and has
buffers and a stream of its own, so that neither camera waits for the other's copies.
"""

from __future__ import annotations

import sys
import threading

import cv2

from briges.runtime import BrigesError, DepthEstimator


class Camera(threading.Thread):
    """Estimates every frame of one source; its last depth is there after ``join``."""

    def __init__(self, source: str, estimator: DepthEstimator, stop: threading.Event) -> None:
        super().__init__(name=f"camera {source}")
        self.source, self.estimator, self.stop = source, estimator, stop
        self.frames, self.depth, self.error = 0, None, None

    def run(self) -> None:
        """Until the source ends, or another camera fails."""
        capture = cv2.VideoCapture(int(self.source) if self.source.isdigit() else self.source)
        try:
            while not self.stop.is_set():
                readable, image = capture.read()
                if not readable:
                    break
                self.depth = self.estimator(image).depth  # owns its memory: the next call does not change it
                self.frames += 1
        except BrigesError as error:  # a thread cannot raise into its caller
            self.error = error
            self.stop.set()
        capture.release()


def main(bundle: str, left: str, right: str) -> list[Camera]:
    """Run both to their ends. Raises what either of them met."""
    stop = threading.Event()
    # Left in the reverse order: the clone before the estimator it was made from.
    with DepthEstimator(bundle, bgr=True) as first, first.clone() as second:
        cameras = [Camera(left, first, stop), Camera(right, second, stop)]
        try:
            for camera in cameras:
                camera.start()
            for camera in cameras:
                camera.join()
        finally:  # Ctrl-C: the threads end before their estimators do
            stop.set()
            for camera in cameras:
                camera.join()
    for camera in cameras:
        print(f"{camera.name}: {camera.frames} frames")
        if camera.error is not None:
            raise camera.error
    return cameras


if __name__ == "__main__":
    try:
        seen = main(*sys.argv[1:4]) if len(sys.argv) == 4 else sys.exit(__doc__)
        sys.exit(0 if all(camera.frames for camera in seen) else "Error: a source gave no frame")
    except BrigesError as error:
        sys.exit(f"Error: {error}")
