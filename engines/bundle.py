"""A model folder to an engine bundle the runtime accepts."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from briges.runtime import contracts
from briges.runtime.files import replacing_folder, write_text
from briges.runtime.manifest import MANIFEST_SCHEMA, BundleFile, Manifest, read_model
from briges.runtime.records import to_json


def build_onnxruntime_bundle(model_folder: Path, out: Path) -> Manifest:
    """Make the bundle ``out`` that runs a model folder on ONNX Runtime, and return its manifest.

    The model's files are copied, not linked: the onnx package refuses weights that have more than one hard link.
    Raises BundleError if the model folder is incomplete or was altered, OutputError if ``out`` cannot be written.
    """
    import onnxruntime

    spec = read_model(model_folder)
    with replacing_folder(out, marker=contracts.MANIFEST_FILE) as folder:
        for name in spec.files:
            shutil.copyfile(model_folder / name, folder / name)
        manifest = Manifest(
            schema_version=MANIFEST_SCHEMA,
            flavour="onnxruntime",
            flavour_version=onnxruntime.__version__,  # its distribution has another name where it is the one for CUDA
            engine=contracts.MODEL_FILE,
            files={name: BundleFile(sha256, (folder / name).stat().st_size) for name, sha256 in spec.files.items()},
            model=spec,
            built_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            tool_version=metadata.version("briges-trt"),
        )
        write_text(folder / contracts.MANIFEST_FILE, to_json(manifest))
    return manifest
