"""Pictures, videos and commands for the tests of `briges infer`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from briges.runtime.main import main


def landmarks(height: int = 56, width: int = 70) -> NDArray[np.uint8]:
    """uint8 RGB [height, width, 3] with four corners of different colours, so that every turn and flip shows."""
    image = np.full((height, width, 3), 128, np.uint8)
    half_height, half_width = height // 2, width // 2
    image[:half_height, :half_width] = (255, 0, 0)
    image[:half_height, half_width:] = (0, 255, 0)
    image[half_height:, :half_width] = (0, 0, 255)
    image[half_height:, half_width:] = (255, 255, 255)
    return image


def noise(height: int = 56, width: int = 70, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 RGB [height, width, 3] of seeded noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_video(path: Path, frames: int, *, fps: float = 12.0, height: int = 56, width: int = 70) -> Path:
    """Write a Motion-JPEG video: frame i is grey of brightness 20 i, 255 at most, on the left, white on the right."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    assert writer.isOpened()
    for index in range(frames):
        frame = np.full((height, width, 3), 255, np.uint8)
        frame[:, : width // 2] = min(255, 20 * index)
        writer.write(frame)
    writer.release()
    return path


def briges(*arguments: object) -> int:
    """Run the command in this process and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def briges_process(*arguments: object, setup: str = "", stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """Start the command in a process of its own; ``setup`` is Python that runs in it before."""
    # A shell that starts tests in the background has them ignore Ctrl-C, and children inherit that.
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += f"{setup}\nfrom briges.runtime.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
