"""A bundle and a dataset in, a row of accuracy out: scored image by image, and kept at every step."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from briges.benchmarks.accuracy.bootstrap import means_of
from briges.benchmarks.accuracy.estimate import estimate
from briges.benchmarks.accuracy.partial import PartialScores, run_key
from briges.benchmarks.accuracy.pictures import choose, draw
from briges.benchmarks.accuracy.rows import AccuracyRow, ImageScore, Picture, Protocol
from briges.benchmarks.accuracy.samples import Sample
from briges.benchmarks.accuracy.tasks import Task, skip
from briges.benchmarks.contender import BundleContender, RunSpec
from briges.benchmarks.environment import read_environment
from briges.benchmarks.rows import RESULT_SCHEMA
from briges.runtime.errors import DatasetError, ImageError
from briges.runtime.estimator import DepthEstimator

logger = logging.getLogger("briges")


@dataclass(frozen=True)
class Plan:
    """What is evaluated. ``root``: of the dataset. ``pictures``: how many. ``partial``: where scores are kept, None for
    nowhere. ``device``: the GPU's number, and ``semantic_interval``, both as the estimator was made with.
    """

    samples: Sequence[Sample]
    task: Task
    root: Path
    flip: bool
    pictures: int
    partial: Path | None
    semantic_interval: int = 1
    device: int = 0


def evaluate_bundle(
    estimator: DepthEstimator,
    plan: Plan,
    protocol: Protocol,
    *,
    temperature: float | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> AccuracyRow:
    """Score every image of ``plan`` with ``estimator`` and return one row.

    on_image: called after each image. What an earlier run of the same bundle, protocol and folder left in
    ``plan.partial`` is taken over, but with a semantic interval, where every frame builds on those before.
    Ctrl-C: the row of what was scored until then, marked as interrupted; KeyboardInterrupt if nothing was.
    Raises DatasetError if no image could be scored, and whatever the estimator raises.
    """
    spec = RunSpec(device=plan.device, semantic_interval=plan.semantic_interval, temperature=temperature)
    described = BundleContender(estimator, spec)
    kept = PartialScores(plan.partial, run_key(described.subject, protocol, plan.root))
    resumed = kept.found if plan.semantic_interval == 1 else {}
    if resumed:
        logger.warning("%s: goes on after %d images that an earlier run scored", plan.partial, len(resumed))
    scores: list[ImageScore] = []
    interrupted = False
    try:
        for sample in plan.samples:
            score = resumed.get(sample.name) or _score(estimator, plan, sample, temperature)
            if sample.name not in resumed:
                kept.add(score)
            scores.append(score)
            on_image()
    except KeyboardInterrupt:
        interrupted = True
    if not any(score.skipped is None for score in scores):
        if interrupted:
            raise KeyboardInterrupt
        raise _nothing(scores)
    pictures = () if interrupted else tuple(_pictures(estimator, plan, scores, temperature))
    return AccuracyRow(
        schema_version=RESULT_SCHEMA,
        kind="accuracy",
        measured_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        subject=described.subject,
        protocol=protocol,
        means=means_of(scores),
        images=tuple(scores),
        pictures=pictures,
        interrupted=interrupted,
        environment=read_environment(
            described.device_name,
            described.packages,
            tensorrt=estimator.manifest.flavour_version if described.subject.engine.startswith("tensorrt") else None,
            index=described.device_index or 0,
        ),
    )


def forget_partial(row: AccuracyRow, plan: Plan) -> None:
    """Remove the scores of a whole ``row``, which was written, from the file of partial ones."""
    PartialScores(plan.partial, run_key(row.subject, row.protocol, plan.root)).forget(
        {image.name for image in row.images}
    )


def _score(estimator: DepthEstimator, plan: Plan, sample: Sample, temperature: float | None) -> ImageScore:
    try:
        image = sample.read_image()
        depth = estimate(estimator, image, flip=plan.flip, temperature=temperature)
        return plan.task.score(sample, image, depth)
    except (DatasetError, ImageError) as error:
        return skip(sample, f"{error.subject}: {error.came}")


def _pictures(
    estimator: DepthEstimator, plan: Plan, scores: Sequence[ImageScore], temperature: float | None
) -> Iterator[Picture]:
    """Computed again rather than kept: which images are the worst is known at the end."""
    if plan.semantic_interval > 1:
        return  # a frame alone would show fresh semantics, which is not what was scored
    by_name = {sample.name: sample for sample in plan.samples}
    for score in choose(scores, plan.task.ranking, plan.pictures):
        sample = by_name[score.name]
        # Scores must not be lost for a picture, whose files may have gone since.
        with contextlib.suppress(DatasetError, ImageError):
            image = sample.read_image()
            depth = estimate(estimator, image, flip=plan.flip, temperature=temperature)
            shown = plan.task.beside(sample, image)
            beside = None if shown is None else (plan.task.beside_name, shown)
            yield draw(score, plan.task.ranking, image, beside, depth)


def _nothing(scores: Sequence[ImageScore]) -> DatasetError:
    reasons = list(dict.fromkeys(score.skipped for score in scores))
    return DatasetError(
        subject="dataset",
        came=f"none of its {len(scores)} images could be scored: {'; '.join(str(reason) for reason in reasons[:3])}",
        expected="at least one image with ground truth",
        cure="check --dataset, --root and --depth-unit",
    )
