"""What `briges bench matrix` is told to measure: a YAML file, read strictly."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from briges.benchmarks.latency_cli import latency
from briges.export.presets import find_preset
from briges.runtime.agreement import Precision
from briges.runtime.errors import UsageError
from briges.runtime.records import RecordError, from_object
from briges.runtime.sidecar import Lowering

Backend = Literal["onnxruntime", "tensorrt", "tensorrt-rtx", "torch-eager", "torch-compile"]

# Whoever leaves them out means these.
_DEFAULTS: dict[str, Any] = {
    "sizes": [],
    "precisions": ["fp16"],
    "attention": ["native"],
    "backends": ["onnxruntime"],
    "batches": [1],
    "checkpoint": None,
    "latency": {},
}


@dataclass(frozen=True)
class Case:
    """One measurement of a matrix. ``size``: None for the preset's own. PyTorch runs on an ONNX Runtime bundle.

    ``settings``: a hash of what all cases share, so that nothing is kept that was measured with other options.
    """

    preset: str
    size: str | None
    precision: Precision
    attention: Lowering
    batch: int
    backend: Backend
    settings: str

    @property
    def model_name(self) -> str:
        """Of the folder of its model."""
        size = self.size or "own-size"
        return f"{self.preset}_{size}_{self.precision}_{self.attention}_batch{self.batch}"

    @property
    def name(self) -> str:
        """As a file's: tells every case of a matrix, and of one with other settings, from every other."""
        return f"{self.model_name}_{self.backend}_{self.settings}"

    def identity(self) -> dict[str, str]:
        """Its fields, for a record."""
        return {
            "preset": self.preset,
            "size": self.size or "the preset's own",
            "precision": self.precision,
            "attention": self.attention,
            "batch": str(self.batch),
            "backend": self.backend,
        }


@dataclass(frozen=True)
class MatrixSpec:
    """Every combination of the lists is a case.

    ``sizes``: height x width, empty for each preset's own. ``checkpoint``: None for random weights. ``latency``:
    options of `briges bench latency` without their dashes, such as {"duration-s": "5"}; flags have an empty text.
    """

    presets: tuple[str, ...]
    sizes: tuple[str, ...]
    precisions: tuple[Precision, ...]
    attention: tuple[Lowering, ...]
    backends: tuple[Backend, ...]
    batches: tuple[int, ...]
    checkpoint: str | None
    latency: dict[str, str]

    def cases(self) -> Iterator[Case]:
        """In the order of the lists, the backend fastest. PyTorch computes attention by itself: once, not per form."""
        shared = json.dumps([self.checkpoint, sorted(self.latency.items())])
        settings = hashlib.sha256(shared.encode()).hexdigest()[:8]
        lists = (self.presets, self.sizes or (None,), self.precisions, self.batches, self.attention, self.backends)
        for preset, size, precision, batch, attention, backend in itertools.product(*lists):
            if not backend.startswith("torch") or attention == self.attention[0]:
                yield Case(preset, size, precision, attention, batch, backend, settings)


def read_matrix(path: Path) -> MatrixSpec:
    """Read and check ``path``. Raises UsageError for what is no such file."""
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(raw, dict):
            raise RecordError("the file is no mapping of names to lists")
        asked = raw.get("latency", {})
        if isinstance(asked, dict):  # YAML reads numbers and truths, the command line takes text and flags
            given = {str(name): value for name, value in asked.items() if value is not None and value is not False}
            raw["latency"] = {name: "" if value is True else str(value) for name, value in given.items()}
        spec = from_object(MatrixSpec, _DEFAULTS | raw)
        if empty := [
            name for name in ("presets", "precisions", "attention", "backends", "batches") if not raw.get(name, "x")
        ]:
            raise RecordError(f"{empty[0]} is empty")
        _require_possible(spec)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecordError) as error:
        raise UsageError(
            subject=f"matrix {path}",
            came=error.strerror or str(error) if isinstance(error, OSError) else str(error),
            expected=f"YAML with presets and lists of {', '.join(_DEFAULTS)}; backends: {', '.join(get_args(Backend))}",
            cure="look at the example that `briges bench matrix --help` prints",
        ) from error
    for preset in spec.presets:
        find_preset(preset)
    return spec


def _require_possible(spec: MatrixSpec) -> None:
    """What can be told before hours of measuring."""
    if wrong := [size for size in spec.sizes if not re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", size)]:
        raise RecordError(f"sizes: {wrong[0]!r} is not HEIGHTxWIDTH")
    if min(spec.batches) < 1:
        raise RecordError(f"batches: {min(spec.batches)} is below 1")
    known = [name.lstrip("-") for option in latency.params for name in (*option.opts, *option.secondary_opts)]
    if unknown := [name for name in spec.latency if name not in known]:
        raise RecordError(f"latency: {unknown[0]!r} is no option of `briges bench latency`")
