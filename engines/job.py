"""What crosses to the process that builds an engine, and what comes back: JSON documents of `runtime.records`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from briges.engines.spec import EngineSpec
from briges.runtime import errors
from briges.runtime.manifest import Tensor


@dataclass(frozen=True)
class PluginFile:
    """A plugin library at ``path``, to be loaded only if it has this hash."""

    path: str
    sha256: str


@dataclass(frozen=True)
class PlanJob:
    """One engine to build: the ONNX graph at the path ``onnx``, into a plan file at the path ``plan``.

    plugin: the library that has the graph's attention operator, None if the graph has none of it. plugin_layers: how
    many layers of it the network must have.
    """

    onnx: str
    plan: str
    spec: EngineSpec
    plugin: PluginFile | None = None
    plugin_layers: int = 0


@dataclass(frozen=True)
class BuiltPlan:
    """What became of a job. The plan file lies where the job said.

    activation_bytes, weights_bytes: device memory the engine will take, None where the builder's log does not tell.
    layers: how many of each type the network had before TensorRT optimised it.
    compute_capabilities: the GPUs it was compiled for; empty for TensorRT, which builds for the GPU at hand.
    build_s: reading the graph and building, without saving.
    """

    flavour_version: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    layers: dict[str, int]
    activation_bytes: int | None
    weights_bytes: int | None
    plan_bytes: int
    compute_capabilities: tuple[str, ...]
    build_s: float


Kind = Literal["BackendError", "BuildError", "MissingExtraError", "OutputError"]


@dataclass(frozen=True)
class Failure:
    """One of our errors, as data."""

    kind: Kind
    subject: str
    came: str
    expected: str
    cure: str


@dataclass(frozen=True)
class Outcome:
    """What the child writes: one of the two."""

    plan: BuiltPlan | None
    failure: Failure | None


_KINDS: dict[type[errors.BrigesError], Kind] = {
    errors.BackendError: "BackendError",
    errors.BuildError: "BuildError",
    errors.MissingExtraError: "MissingExtraError",
    errors.OutputError: "OutputError",
}


def to_failure(error: errors.BrigesError) -> Failure:
    """``error`` as data; what is none of the four kinds is a BuildError."""
    kind = _KINDS.get(type(error), "BuildError")
    return Failure(kind, error.subject, error.came, error.expected, error.cure)


def to_error(failure: Failure, log: str) -> errors.BrigesError:
    """The error again, with ``log``, what to say of the log, after what came."""
    kind: type[errors.BrigesError] = getattr(errors, failure.kind)
    return kind(subject=failure.subject, came=f"{failure.came}\n{log}", expected=failure.expected, cure=failure.cure)
