"""Bundles for the stand-in TensorRT, made of bundles for ONNX Runtime."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import onnx
from support.stand_in_version import VERSION

from briges.runtime import contracts
from briges.runtime.compatibility import this_platform
from briges.runtime.files import sha256_of
from briges.runtime.manifest import BundleFile, Host, Manifest, read_manifest
from briges.runtime.records import to_json


def as_tensorrt(bundle: Path, out: Path, **changes: Any) -> Path:
    """The same engines as a TensorRT bundle for the simulated GPU; ``changes`` to its manifest."""
    manifest = read_manifest(bundle)
    out.mkdir(parents=True)
    files = {}
    for engine in manifest.engines:
        onnx.save(onnx.load(bundle / engine.file), str(out / engine.file))  # with its weights inside
        files[engine.file] = BundleFile(sha256_of(out / engine.file), (out / engine.file).stat().st_size)
    if (reference := manifest.model.reference) is not None:
        shutil.copyfile(bundle / reference, out / reference)
        files[reference] = manifest.files[reference]
    made: Manifest = dataclasses.replace(
        manifest,
        flavour="tensorrt",
        flavour_version=VERSION,
        files=files,
        host=Host(this_platform(), "Simulated GPU 0", "13.0", None),
        options=dataclasses.replace(manifest.options, compute_capabilities=("8.9",)),
        **changes,
    )
    (out / contracts.MANIFEST_FILE).write_text(to_json(made), encoding="utf-8")
    return out
