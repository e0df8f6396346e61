"""Builds bundles for ONNX Runtime, which every machine has, without telling anybody of the steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from briges.engines.build import build_bundle
from briges.engines.request import BuildRequest
from briges.engines.spec import EngineSpec
from briges.engines.watcher import Watcher
from briges.runtime.manifest import Manifest

SILENT = Watcher(step=lambda step: None, progress=lambda phase, done, total: None)


def build_for_onnxruntime(model_folder: Path, out: Path, **options: Any) -> Manifest:
    """Build the bundle ``out``; ``options`` are those of BuildRequest."""
    return build_bundle(model_folder, out, BuildRequest(EngineSpec("onnxruntime"), **options), SILENT).manifest
