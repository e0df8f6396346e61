"""The output of what is to be timed, against what fp32 PyTorch made of the same photographs when it was exported."""

from __future__ import annotations

from pathlib import Path

from briges.benchmarks.contender import Contender
from briges.benchmarks.rows import Check
from briges.runtime import contracts
from briges.runtime.agreement import LIMITS, Agreement, compare, violations, worst
from briges.runtime.errors import BackendError, BundleError
from briges.runtime.estimator import nearest_graph
from briges.runtime.photographs import load_photographs, photograph_feeds, read_references
from briges.runtime.postprocess import restore_size
from briges.runtime.preprocess import place
from briges.runtime.sidecar import ModelSpec


def check_output(contender: Contender, bundle: Path) -> Check:
    """Compare the depth of every packaged photograph, at its own size, with the gate's reference in ``bundle``.

    Raises BackendError if it is outside the limits of the precision, unless it is a bundle that says so of itself;
    BundleError if the bundle has no reference although its model has one.
    """
    model = contender.manifest.model
    if model.reference is None:
        return Check(None, None, "the model was exported with --no-verify: it has no reference")
    if model.reference not in contender.manifest.files:
        raise BundleError(
            subject=f"bundle {bundle}",
            came=f"it does not hold {model.reference}, as bundles of older builds do not",
            expected="the reference outputs, to compare with before anything is timed",
            cure="build it again: `briges build MODEL_DIR --out BUNDLE --force`",
        )
    agreement = worst(_agreements(contender, bundle, model))
    limits = LIMITS[contender.subject.precision]
    gate = contender.manifest.gate
    admitted = contender.subject.manifest_sha256 is not None and gate is not None and not gate.passed
    if (found := violations(agreement, limits)) and not admitted:
        raise BackendError(
            subject=contender.subject.label,
            came=f"its depth is not the model's: {'; '.join(found)}",
            expected="the depth of real photographs within the limits, before anything is timed",
            cure="build the bundle again on this machine; for PyTorch, give the weights the bundle was made from",
        )
    return Check(agreement, limits, None)


def _agreements(contender: Contender, bundle: Path, model: ModelSpec) -> list[Agreement]:
    found = []
    for index, photograph in enumerate(load_photographs()):
        height, width = photograph.shape[:2]
        graph = nearest_graph(model.graphs, photograph.shape)
        feed = photograph_feeds(model, graph)[index]
        temperature = float(feed[contracts.TEMPERATURE][0]) if contracts.TEMPERATURE in feed else None
        reference = read_references(bundle, model, graph)[index]
        placement = place(height, width, graph.image, "pad")
        expected = restore_size(placement.crop(reference[0, 0]), height, width, None)  # slot 0 holds this photograph
        found.append(compare(contender.depth_of(photograph, temperature)[None, None], expected[None, None]))
    return found
