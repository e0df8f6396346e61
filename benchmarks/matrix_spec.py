"""What `briges bench matrix` is told to measure: a YAML file, read strictly."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from briges.export.presets import find_preset
from briges.runtime.agreement import Precision
from briges.runtime.errors import MissingExtraError, UsageError
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
    """One measurement of a matrix. ``size``: None for the preset's own. PyTorch runs on an ONNX Runtime bundle."""

    preset: str
    size: str | None
    precision: Precision
    attention: Lowering
    batch: int
    backend: Backend

    @property
    def name(self) -> str:
        """As a file's: tells every case of a matrix from every other."""
        size = self.size or "own-size"
        return f"{self.preset}_{size}_{self.precision}_{self.attention}_batch{self.batch}_{self.backend}"

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
    options of `briges bench latency` without their dashes, such as {"duration-s": "5"}.
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
        lists = (self.presets, self.sizes or (None,), self.precisions, self.batches, self.attention, self.backends)
        for preset, size, precision, batch, attention, backend in itertools.product(*lists):
            if not backend.startswith("torch") or attention == self.attention[0]:
                yield Case(preset, size, precision, attention, batch, backend)


def read_matrix(path: Path) -> MatrixSpec:
    """Read and check ``path``. Raises UsageError for what is no such file, MissingExtraError."""
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError(
            subject="briges bench matrix",
            came="not installed: yaml",
            expected="the extra [bench]",
            cure="pip install 'briges-trt[bench]'",
        ) from error
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(raw, dict):
            raise RecordError("the file is no mapping of names to lists")
        latency = raw.get("latency", {})
        if isinstance(latency, dict):  # YAML reads numbers, the command line takes text
            raw["latency"] = {str(name): str(value) for name, value in latency.items()}
        spec = from_object(MatrixSpec, _DEFAULTS | raw)
        if empty := [
            name for name in ("presets", "precisions", "attention", "backends", "batches") if not raw.get(name, "x")
        ]:
            raise RecordError(f"{empty[0]} is empty")
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
