"""`--repair`: finds the parts of a half network that lose its accuracy, and as few of them as will do.

Both networks, the half one and one that computes everything in the wider type, are run once with an eye on every part.
That gives an order of suspicion; the first parts of it, doubled until the gate passes, are then thinned out. Every
judgement is a run of the emulated graph on the gate's own photographs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from briges.engines.blocks import Parts, parts_of
from briges.engines.gate import Depth, open_depth
from briges.engines.onnx_graph import load_graph
from briges.engines.profile import profile
from briges.engines.promote import promoted
from briges.runtime.agreement import LIMITS, Precision, compare, violations, worst
from briges.runtime.errors import GateError, UsageError
from briges.runtime.photographs import Feed, photograph_feeds, read_references
from briges.runtime.sidecar import ModelSpec, SizedGraph

MAX_TRIALS = 24

OnStep = Callable[[str], None]


def find_parts(
    folder: Path, spec: ModelSpec, graphs: Sequence[SizedGraph], dtype: Precision, on_step: OnStep
) -> tuple[str, ...]:
    """The parts of the model in ``folder`` that must compute in ``dtype`` for the typed ONNX to pass its gate.

    graphs: the sizes whose typed ONNX failed. Costs two inferences per photograph of the first one to find suspects,
    and at most MAX_TRIALS gates to confirm them and leave out what is not needed.
    Raises UsageError for a model that ``dtype`` does not widen; GateError if the typed ONNX of the first size passes as
    it is, so that the fault is the engine's, or fails even with every part in ``dtype``; BackendError, BuildError.
    """
    require_wider(spec, dtype)
    subjects = [_Subject.load(folder, spec, graph) for graph in graphs]
    first = subjects[0]
    on_step(f"comparing every part in {spec.precision} and {dtype}")
    seen = profile(first.model, folder, first.parts, first.feeds, dtype)
    if not _violations(spec, seen.half_depths, first.references):
        raise _blameless(folder)
    if remaining := _violations(spec, seen.wide_depths, first.references):
        raise _hopeless(folder, dtype, remaining)

    trials = 0

    def passes(parts: Sequence[str]) -> bool:
        nonlocal trials
        trials += 1
        on_step(f"trial {trials} of at most {MAX_TRIALS}: {len(parts)} parts in {dtype}")
        return all(subject.passes(folder, spec, parts, dtype) for subject in subjects)

    count = max(1, seen.certain)
    while count < len(seen.suspects) and not passes(seen.suspects[:count]):
        count *= 2
    needed = _thinned(seen.suspects[:count], passes, lambda: trials < MAX_TRIALS)
    return tuple(part for part in first.parts if part in needed)


def require_wider(spec: ModelSpec, dtype: Precision) -> None:
    """Refuse to repair a model in a precision that is no wider than its own. Raises UsageError."""
    if spec.precision in (dtype, "fp32"):
        raise UsageError(
            subject="--repair",
            came=f"{dtype} for a model exported in {spec.precision}",
            expected="a wider precision than the model's own",
            cure="repair with fp32; a model that fails in fp32 must be exported again",
        )


def repaired(model: ModelProto, spec: ModelSpec, parts: Sequence[str], dtype: Precision) -> ModelProto:
    """The exported graph ``model`` with ``parts`` in ``dtype``; its weights stay in their file as they are.

    Raises BuildError for a graph whose types cannot be told.
    """
    members = _parts(model, spec)
    return promoted(model, {index for part in parts for index in members.get(part, ())}, dtype)


def _parts(model: ModelProto, spec: ModelSpec) -> Parts:
    return parts_of(model, {decision.part for decision in spec.decisions})


@dataclass(frozen=True, eq=False)
class _Subject:
    """A graph under repair, with what the gate feeds it and expects."""

    model: ModelProto
    parts: Parts
    feeds: list[Feed]
    references: list[Depth]

    @staticmethod
    def load(folder: Path, spec: ModelSpec, graph: SizedGraph) -> _Subject:
        model = load_graph(folder / graph.file)
        feeds, references = photograph_feeds(spec, graph), read_references(folder, spec, graph)
        return _Subject(model, _parts(model, spec), feeds, references)

    def passes(self, folder: Path, spec: ModelSpec, parts: Sequence[str], dtype: Precision) -> bool:
        """Whether the gate passes with ``parts`` in ``dtype``; stops at the first photograph that fails."""
        run = open_depth(repaired(self.model, spec, parts, dtype), folder, spec.precision)
        pairs = zip(self.feeds, self.references, strict=True)
        return all(not _violations(spec, [run(feed)], [reference]) for feed, reference in pairs)


def _thinned(
    parts: tuple[str, ...], passes: Callable[[Sequence[str]], bool], may_go_on: Callable[[], bool]
) -> tuple[str, ...]:
    """Leave out what is not needed, in ever smaller pieces, the least suspicious first.

    This is the complement step of delta debugging (Zeller and Hildebrandt, 2002). If it may go on until the end, none
    of the parts that remain can be left out by itself, as long as more parts in a wider type never make it worse.
    """
    size = len(parts) // 2
    while size:
        for start in reversed(range(0, len(parts), size)):
            rest = parts[:start] + parts[start + size :]
            if rest and may_go_on() and passes(rest):
                parts = rest
        size = min(size // 2, len(parts) // 2)
    return parts


def _violations(spec: ModelSpec, outputs: Sequence[Depth], references: Sequence[Depth]) -> list[str]:
    agreement = worst(compare(output, reference) for output, reference in zip(outputs, references, strict=True))
    return violations(agreement, LIMITS[spec.precision])


def _blameless(folder: Path) -> GateError:
    return GateError(
        subject=f"repair of {folder}",
        came="the typed ONNX passes its gate as it is: the engine loses the accuracy",
        expected="a typed ONNX that fails",
        cure="build with another version of TensorRT or --flavour, or export with --precision fp32",
    )


def _hopeless(folder: Path, dtype: Precision, remaining: list[str]) -> GateError:
    cure = "export the model again; if that changes nothing, report it"
    if dtype == "bf16":
        cure = "repair with fp32"
    return GateError(
        subject=f"repair of {folder}",
        came=f"with every part in {dtype} the gate still fails: {'; '.join(remaining)}",
        expected="a network that only its half precision makes wrong",
        cure=cure,
    )
