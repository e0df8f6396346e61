"""The measurements one command asks for, one after the other, each in a backend opened for it alone."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from briges.benchmarks.clocks import locked_clocks
from briges.benchmarks.contender import Contender, RunSpec, open_bundle
from briges.benchmarks.frames import Frames, load_frames
from briges.benchmarks.latency import LatencySpec, collect_stages, measure_latency
from briges.benchmarks.rows import WITHOUT_GRAPH, LatencyRow, Mode, Stage
from briges.benchmarks.timing import HostClock, Plan, warm_up
from briges.benchmarks.usage import resident_bytes
from briges.runtime.errors import BrigesError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from briges.export.checkpoints import WeightFiles

# Requests without a CUDA graph, to tell its engines apart.
_APART = 30
_TELL_EVERY_S = 0.25
# Of seconds, minutes and frames per second: beyond these nobody means it, not a number least of all.
_SMALLEST, _LARGEST = 1e-6, 1e6


@dataclass(frozen=True)
class LatencyRequest:
    """``backends``: "engine", "torch-eager", "torch-compile", in turn for each bundle."""

    bundles: tuple[Path, ...]
    backends: tuple[str, ...]
    frames: Path | None
    frame_size: tuple[int, int] | None
    run: RunSpec
    spec: LatencySpec
    lock_clocks: bool
    weights: tuple[Path | None, Path | None, Path | None]


def make_request(
    bundles: Sequence[Path], backends: Sequence[str], command: str, options: Mapping[str, Any]
) -> LatencyRequest:
    """From what was typed. Raises UsageError for options that exclude each other."""
    soak_min, rate_fps, streams = options["soak_min"], options["rate_fps"], options["streams"]
    asked = [name for name, value in (("--soak", soak_min), ("--rate", rate_fps), ("--streams", streams > 1)) if value]
    if len(asked) > 1:
        raise UsageError(
            subject=" and ".join(asked),
            came="given together",
            expected="one of them: each is another way to send requests",
            cure="measure one after the other; the rows of one --json file are kept apart",
        )
    for option, name in (
        ("--soak", "soak_min"),
        ("--rate", "rate_fps"),
        ("--warmup-s", "warmup_s"),
        ("--duration-s", "duration_s"),
    ):
        if not (value := options[name] or 0.0) < _LARGEST or 0 < value < _SMALLEST:
            expected = f"a number from {_SMALLEST:g} to {_LARGEST:g}"
            raise UsageError(subject=option, came=f"{value:g}", expected=expected, cure="give one in that range")
    if options["checkpoint"] and set(backends) == {"engine"}:
        raise UsageError(
            subject="--checkpoint",
            came="given without a backend of PyTorch",
            expected="--backend torch-eager or torch-compile: a bundle has its weights",
            cure="add such a backend, or leave the option out",
        )
    duration_s = soak_min * 60 if soak_min else options["duration_s"]
    plan = Plan(options["warmup_s"], duration_s, options["min_iterations"], settle=not soak_min)
    mode: Mode = (
        "soak" if soak_min else "fixed-rate" if rate_fps else "multi-stream" if streams > 1 else "single-stream"
    )
    graph = options["cuda_graph"]
    return LatencyRequest(
        bundles=tuple(bundles),
        backends=tuple(dict.fromkeys(backends)),
        frames=options["frames"],
        frame_size=options["frame_size"],
        run=RunSpec(
            provider=options["provider"],
            threads=options["threads"],
            device=options["device"],
            cuda_graph="auto" if graph is None else graph,
            semantic_interval=options["semantic_interval"],
            temperature=options["temperature"],
            copies=options["copies"],
            images=options["batch"],
        ),
        spec=LatencySpec(
            plan,
            mode,
            streams,
            rate_fps,
            threads=options["threads"],
            locked=options["lock_clocks"],
            command=command,
        ),
        lock_clocks=options["lock_clocks"],
        weights=(options["checkpoint"], options["depth_weights"], options["semantic_weights"]),
    )


def measure_all(
    request: LatencyRequest, on_step: Callable[[str], None], on_detail: Callable[[str], None]
) -> Iterator[LatencyRow]:
    """Yield each row as it is measured. ``on_detail``: how far the step is. Raises what ``measure_latency`` does."""
    frames = load_frames(request.frames, request.frame_size)
    for bundle in request.bundles:
        for backend in request.backends:
            on_step(f"loading {bundle}, {backend}")
            before_bytes = resident_bytes()
            with contextlib.ExitStack() as clocks:
                with _open(bundle, backend, request) as contender:
                    if request.lock_clocks:
                        clocks.enter_context(locked_clocks(contender.device_index))
                    row, failure = measure_latency(
                        contender,
                        bundle,
                        frames,
                        request.spec,
                        on_step=on_step,
                        on_progress=_seldom(on_detail),
                        host_before_bytes=before_bytes,
                    )
                if row.subject.cuda_graph and not row.interrupted:
                    on_step("timing each engine without a CUDA graph")
                    try:
                        row = dataclasses.replace(row, stages=(*row.stages, *_stages_apart(bundle, request, frames)))
                    except (BrigesError, KeyboardInterrupt):
                        yield row  # what was measured is kept
                        raise
            yield row
            if failure is not None:
                raise failure


def _seldom(on_detail: Callable[[str], None]) -> Callable[[float], None]:
    """Tell the share that is done a few times a second: drawing it takes longer than some requests."""
    told_s = 0.0

    def on_progress(share: float) -> None:
        nonlocal told_s
        if (now_s := time.perf_counter()) - told_s > _TELL_EVERY_S:
            told_s = now_s
            on_detail(f"{share:.0%}")

    return on_progress


def _open(bundle: Path, backend: str, request: LatencyRequest) -> AbstractContextManager[Contender]:
    if backend == "engine":
        return open_bundle(bundle, request.run)
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError(
            subject=f"--backend {backend}",
            came="not installed: torch",
            expected="the extra [export]",
            cure="pip install 'briges-trt[export]'",
        )
    from briges.benchmarks.torch_contender import Form, open_torch

    form: Form = "torch-compile" if backend == "torch-compile" else "torch-eager"
    return open_torch(bundle, form, _source(request.weights), request.run)


def _source(weights: tuple[Path | None, Path | None, Path | None]) -> WeightFiles | None:
    from briges.export.checkpoints import WeightFiles

    checkpoint, depth_weights, semantic_weights = weights
    return WeightFiles(checkpoint, depth_weights, semantic_weights) if checkpoint else None


def _stages_apart(bundle: Path, request: LatencyRequest, frames: Frames) -> tuple[Stage, ...]:
    """The engines of a request in a run of their own, since nothing inside a CUDA graph can be timed."""
    with open_bundle(bundle, dataclasses.replace(request.run, cuda_graph=False)) as contender:
        contender.load(frames)
        warm_up(contender.request, request.spec.plan, HostClock())
        stages = collect_stages([contender.request(number) for number in range(_APART)])
    known = ("host to device", "preprocess", "postprocess", "device to host")
    return tuple(
        dataclasses.replace(stage, name=stage.name + WITHOUT_GRAPH) for stage in stages if stage.name not in known
    )
