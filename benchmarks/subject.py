"""What is measured, as the rows name it."""

from __future__ import annotations

from typing import Literal

from briges.benchmarks.rows import Subject
from briges.runtime import contracts
from briges.runtime.estimator import DepthEstimator
from briges.runtime.files import sha256_of
from briges.runtime.manifest import Manifest


def subject_of(
    estimator: DepthEstimator,
    *,
    temperature: float | None = None,
    semantic_interval: int = 1,
    cuda_graph: bool | None = None,
    size: str | None = None,
) -> Subject:
    """Describe what ``estimator`` runs. Takes a millisecond: it reads the hash of the manifest.

    temperature: what the requests give, for a model that takes one. size: of the graph in use, by default the first.
    cuda_graph: as it was asked for; not known to be on (None) where the estimator decides.
    """
    manifest = estimator.manifest
    model, plugin = manifest.model, manifest.attention.plugin
    return Subject(
        preset=model.preset,
        precision=model.precision,
        size=size or model.graphs[0].size,
        batch=model.batch,
        engine=manifest.flavour,
        backend=estimator.backend_name,
        attention=_attention(manifest),
        temperature=_temperature(manifest, temperature),
        semantic_interval=semantic_interval,
        cuda_graph=None if manifest.flavour == "onnxruntime" else cuda_graph,
        bundle=estimator.path.resolve().name,
        manifest_sha256=sha256_of(estimator.path / contracts.MANIFEST_FILE),
        plugin_sha256=manifest.files[plugin.file].sha256 if plugin else None,
        notices=estimator.notices,
    )


def _attention(manifest: Manifest) -> Literal["plugin", "native", "plain"]:
    return manifest.attention.lowering


def _temperature(manifest: Manifest, asked: float | None) -> float | None:
    folded = manifest.model.temperature
    if folded.mode == "none":
        return None
    return (asked or 1.0) if folded.mode == "dynamic" else folded.cross
