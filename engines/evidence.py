"""What a failed gate leaves for people to look at: the numbers, and every depth map beside its reference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from briges.engines.gate import Check, Depth
from briges.runtime.files import translated, write_text
from briges.runtime.manifest import Gate
from briges.runtime.records import to_json

_VERDICT = "gate.json"
_PATTERNS = (_VERDICT, "onnx-*.npy", "onnx-*.png", "engine-*.npy", "engine-*.png")
_NOT_FINITE = (255, 0, 0)


def write_evidence(folder: Path, gate: Gate, checks: Sequence[Check]) -> list[Path]:
    """Write into ``folder``: ``gate.json``, the record of the gate; and for each photograph of a check that ran,
    ``SUBJECT-SIZE-N.npy``, the output as float32 [B, 1, H, W], and ``.png``, the strip of ``strip``.

    Returns the files. What an earlier gate left there is removed first. Raises OutputError.
    """
    with translated(folder):
        if (folder / _VERDICT).is_file():  # else what is there is somebody's
            for old in (path for pattern in _PATTERNS for path in folder.glob(pattern)):
                old.unlink()
    files = [folder / _VERDICT]
    write_text(files[0], to_json(gate))
    for check in checks:
        for index, (output, reference) in enumerate(zip(check.outputs, check.references, strict=True)):
            stem = f"{check.row.subject}-{check.row.size}-{index}"
            array, picture = folder / f"{stem}.npy", folder / f"{stem}.png"
            with translated(array):
                np.save(array, output, allow_pickle=False)
            _write_png(picture, strip(output, reference))
            files += [array, picture]
    return files


def strip(output: Depth, reference: Depth) -> NDArray[np.uint8]:
    """Draw reference, output and their difference side by side, the images of a batch one below the other.

    output, reference: float32 [B, 1, H, W]. Returns uint8 [B*H, 3*W, 3] RGB. Both depths are grey from the
    reference's least value to its largest, the difference from none (black) to its own largest (white); what is not
    finite is red.
    """
    low, span = float(reference.min()), float(np.ptp(reference))
    difference = np.abs(output - reference)
    largest = float(np.max(difference, initial=0.0, where=np.isfinite(difference)))
    panels = ((reference - low) / span, (output - low) / span, difference / (largest or 1.0))
    return np.concatenate([_paint(panel) for panel in panels], axis=1)


def _paint(panel: Depth) -> NDArray[np.uint8]:
    plane = panel.reshape(-1, panel.shape[-1])  # [B, 1, H, W] -> [B*H, W]
    finite = np.isfinite(plane)
    grey = (np.clip(np.where(finite, plane, 0.0), 0.0, 1.0) * 255).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[~finite] = _NOT_FINITE
    return picture


def _write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    from PIL import Image

    with translated(path):
        Image.fromarray(picture).save(path)
