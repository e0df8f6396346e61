"""One `briges eval`: opens what it needs, evaluates once per temperature, writes the rows."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from briges.benchmarks.accuracy.depth_files import DepthUnit
from briges.benchmarks.accuracy.evaluate import Plan, evaluate_bundle, forget_partial
from briges.benchmarks.accuracy.ordinal import open_pairs
from briges.benchmarks.accuracy.reference import Reference
from briges.benchmarks.accuracy.rows import AccuracyRow, Protocol
from briges.benchmarks.accuracy.samples import Sample, open_dataset
from briges.benchmarks.accuracy.sets import SETS
from briges.benchmarks.accuracy.tasks import AffineInvariant, Task
from briges.benchmarks.records import append_row, require_results
from briges.runtime import contracts
from briges.runtime.backend import Provider
from briges.runtime.errors import UsageError
from briges.runtime.estimator import DepthEstimator
from briges.runtime.files import sha256_of
from briges.runtime.terminal import progress_bar

logger = logging.getLogger("briges")


@dataclass(frozen=True)
class EvalRequest:
    """The options of `briges eval`, under their names, and the ``command`` they came from.

    ``temperatures`` None: as exported, or 1.0. ``json`` None: nothing is written.
    """

    command: str
    bundle: Path
    dataset: str
    root: Path
    file_list: Path | None = None
    depth_unit: DepthUnit | None = None
    flip: bool = False
    limit: int | None = None
    json: Path | None = None
    pictures: int = 6
    reference: Path | None = None
    temperatures: tuple[float, ...] | None = None
    semantic_interval: int = 1
    device: int = 0
    provider: Provider = "auto"
    threads: int | None = None


def evaluate_all(request: EvalRequest) -> Iterator[AccuracyRow]:
    """Yield a row per temperature, each already appended to ``request.json``.

    An interrupted row is the last, and is not written: its scores are in FILE.partial, from where the next run
    goes on. With a semantic interval that cannot be, and the row is written as it is.
    Raises UsageError for options that do not go together, DatasetError for a dataset that cannot be used, and whatever
    DepthEstimator raises.
    """
    _check(request)
    if request.json:
        require_results(request.json)
    # Before the bundle: a typo must not cost loading a model.
    samples, truth = _open_dataset(request)
    partial = request.json.with_name(request.json.name + ".partial") if request.json else None
    with contextlib.ExitStack() as stack:
        estimator = stack.enter_context(_open_bundle(request, request.bundle, request.semantic_interval))
        task = truth or AffineInvariant()
        if request.reference is not None:
            other = stack.enter_context(_open_bundle(request, request.reference, 1))
            task = Reference(other, truth, flip=request.flip)
        pictures = request.pictures if request.json else 0
        interval, device = request.semantic_interval, request.device
        plan = Plan(samples, task, request.root, request.flip, pictures, partial, interval, device)
        protocol = _protocol(request, task)
        temperatures: Sequence[float | None] = request.temperatures or (None,)
        for temperature in temperatures:
            with _counted(len(samples)) as on_image:
                row = evaluate_bundle(estimator, plan, protocol, temperature=temperature, on_image=on_image)
            whole = not row.interrupted
            if request.json and (whole or request.semantic_interval > 1):
                append_row(request.json, row)
            if whole:
                forget_partial(row, plan)
            else:
                goes_on = partial and request.semantic_interval == 1
                what_now = "the same command goes on from there" if goes_on else "the next run starts anew"
                logger.warning("interrupted after %d of %d images: %s", len(row.images), len(samples), what_now)
            yield row
            if row.interrupted:
                return


@contextlib.contextmanager
def _counted(total: int) -> Iterator[Callable[[], None]]:
    done = 0
    with progress_bar(total) as on_progress:

        def on_image() -> None:
            nonlocal done
            done += 1
            on_progress(done)

        yield on_image


def _open_dataset(request: EvalRequest) -> tuple[Sequence[Sample], Task | None]:
    """The samples, and what scores them by ground truth: None where there is none and a reference instead."""
    if request.dataset == "da2k":
        return open_pairs(request.root, request.limit)
    samples = open_dataset(
        request.dataset,
        request.root,
        unit=request.depth_unit,
        file_list=request.file_list,
        limit=request.limit,
    )
    has_truth = any(sample.files.depth for sample in samples)
    return samples, None if request.reference and not has_truth else AffineInvariant()


def _open_bundle(request: EvalRequest, bundle: Path, semantic_interval: int) -> DepthEstimator:
    return DepthEstimator(
        bundle,
        provider=request.provider,
        threads=request.threads,
        device=request.device,
        semantic_interval=semantic_interval,
    )


def _protocol(request: EvalRequest, task: Task) -> Protocol:
    kind = SETS[request.dataset]
    reference = None
    if request.reference is not None:
        manifest = sha256_of(request.reference / contracts.MANIFEST_FILE)
        reference = f"bundle {request.reference.resolve().name}, manifest {manifest[:16]}"
    by_depth = task.name == "affine-invariant"
    unit = f", {request.depth_unit}" if request.depth_unit else ""
    alignment = task.alignment
    if by_depth and kind.alignment_max_side:
        alignment += f"; fitted at most {kind.alignment_max_side} pixels a side, nearest"
    return Protocol(
        dataset=f"folder {request.root.resolve().name}{unit}" if kind.name == "folder" else kind.name,
        task=task.name,
        alignment=alignment,
        crop=kind.crop if by_depth else None,
        depth_range_m=kind.recorded_range_m if by_depth else (0.0, 0.0),
        flip=request.flip,
        reference=reference,
        command=request.command,
    )


def _check(request: EvalRequest) -> None:
    interval = request.semantic_interval > 1
    conflicts = (
        (request.depth_unit and request.dataset != "folder", "--depth-unit", "a set whose unit is known", "folder"),
        (request.file_list and request.dataset in ("folder", "da2k"), "--list", request.dataset, "a public depth set"),
        (request.flip and interval, "--flip", "a semantic interval", "frames of one view"),
        (len(request.temperatures or ()) > 1 and interval, "--temperature", "a semantic interval", "one temperature"),
    )
    for wrong, option, came, expected in conflicts:
        if wrong:
            raise UsageError(subject=option, came=f"given with {came}", expected=expected, cure="leave it out")
