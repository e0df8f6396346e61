"""Rows of results, made ready to be shown: told apart, coloured, and what belongs together put together."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from briges.benchmarks.accuracy.rows import AccuracyRow
from briges.benchmarks.kernel_rows import KernelRow
from briges.benchmarks.records import Row
from briges.benchmarks.roofline.rows import EstimateRow
from briges.benchmarks.rows import Environment, LatencyRow, Subject, UnmeasuredRow, is_disturbed
from briges.runtime.agreement import violations

COLOURS = 8


@dataclass(frozen=True)
class Entry:
    """A row of latency. ``tag`` names it in charts, such as "2" or "2b". ``colour``: 1..COLOURS, of its subject.

    ``accuracy``: the rows of the very same bundle, run in the same way. ``environment``: 1-based, of the report's.
    """

    tag: str
    colour: int
    row: LatencyRow
    accuracy: tuple[AccuracyRow, ...]
    environment: int

    @property
    def label(self) -> str:
        """The subject's, marked where something must be known about it."""
        return f"{'⚠ ' if self.flags or self.row.subject.notices else ''}{self.row.subject.label}"

    @property
    def flags(self) -> tuple[str, ...]:
        """What makes its figures doubtful, in words; empty if nothing does."""
        return tuple(_flags(self.row))


@dataclass(frozen=True)
class Scored:
    """A row of accuracy. ``tag``: such as "A2". ``colour``: that of the latency of the same subject."""

    tag: str
    colour: int
    row: AccuracyRow
    environment: int

    @property
    def label(self) -> str:
        """As an ``Entry``'s."""
        return f"{'⚠ ' if self.row.interrupted or self.row.subject.notices else ''}{self.row.subject.label}"


@dataclass(frozen=True)
class Place:
    """Rows that were measured in one environment, which clocks and temperatures do not tell apart."""

    environment: Environment
    tags: tuple[str, ...]
    clocks: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """Everything that a report shows. ``repeated``: how many rows were given more than once, and are shown once."""

    latency: tuple[Entry, ...]
    accuracy: tuple[Scored, ...]
    estimates: tuple[tuple[str, EstimateRow], ...]  # with their tags
    kernels: tuple[tuple[str, KernelRow], ...]  # likewise
    unmeasured: tuple[UnmeasuredRow, ...]
    places: tuple[Place, ...]
    repeated: int


def make_report(rows: Iterable[Row]) -> Report:
    """Sort ``rows`` by kind and name each. The order within a kind stays; a row given twice is taken once."""
    distinct: list[Row] = []
    repeated = 0
    for row in rows:
        if row in distinct:
            repeated += 1
        else:
            distinct.append(row)
    measured = [row for row in distinct if isinstance(row, LatencyRow | AccuracyRow)]
    numbers = {label: at for at, label in enumerate(dict.fromkeys(row.subject.label for row in measured), start=1)}
    environments = _environments(distinct)
    accuracy = [row for row in distinct if isinstance(row, AccuracyRow)]
    latency = [row for row in distinct if isinstance(row, LatencyRow)]
    entries = tuple(
        Entry(
            tag=tag,
            colour=_colour(numbers[row.subject.label]),
            row=row,
            accuracy=tuple(one for one in accuracy if _same_run(one.subject, row.subject)),
            environment=environments.index(_place(row.environment)) + 1,
        )
        for tag, row in zip(_tags([numbers[row.subject.label] for row in latency]), latency, strict=True)
    )
    scored = tuple(
        Scored(
            tag=f"A{at}",
            colour=_colour(numbers[row.subject.label]),
            row=row,
            environment=environments.index(_place(row.environment)) + 1,
        )
        for at, row in enumerate(accuracy, start=1)
    )
    named = [(one.tag, one.environment) for one in entries] + [(one.tag, one.environment) for one in scored]
    kernels = (row for row in distinct if isinstance(row, KernelRow))
    estimates = (row for row in distinct if isinstance(row, EstimateRow))
    return Report(
        latency=entries,
        accuracy=scored,
        estimates=tuple((f"E{at}", row) for at, row in enumerate(estimates, start=1)),
        kernels=tuple((f"K{at}", row) for at, row in enumerate(kernels, start=1)),
        unmeasured=tuple(row for row in distinct if isinstance(row, UnmeasuredRow)),
        places=tuple(
            Place(
                environment,
                tags=tuple(dict.fromkeys(tag for tag, where in named if where == at)),
                clocks=_clocks(distinct, environment),
            )
            for at, environment in enumerate(environments, start=1)
        ),
        repeated=repeated,
    )


def _environments(rows: Iterable[Row]) -> list[Environment]:
    """Those told apart, in the order in which they came. Estimates have none, and kernels one of another form."""
    found: list[Environment] = []
    for row in rows:
        if isinstance(row, LatencyRow | AccuracyRow | UnmeasuredRow) and _place(row.environment) not in found:
            found.append(_place(row.environment))
    return found


def _place(environment: Environment) -> Environment:
    return dataclasses.replace(environment, clocks=None, temperature_c=())


def _clocks(rows: Iterable[Row], place: Environment) -> tuple[str, ...]:
    found = (row.environment for row in rows if isinstance(row, LatencyRow | AccuracyRow | UnmeasuredRow))
    return tuple(dict.fromkeys(one.clocks for one in found if one.clocks is not None and _place(one) == place))


def _same_run(one: Subject, other: Subject) -> bool:
    """Whether the depth of both is the same: one bundle, run in one way."""
    fields = ("manifest_sha256", "size", "temperature", "semantic_interval")
    return one.manifest_sha256 is not None and all(getattr(one, name) == getattr(other, name) for name in fields)


def _colour(number: int) -> int:
    return (number - 1) % COLOURS + 1


def _tags(numbers: Sequence[int]) -> list[str]:
    """The number, with a letter behind it where several rows share it."""
    total, seen = Counter(numbers), Counter[int]()
    tags = []
    for number in numbers:
        seen[number] += 1
        tags.append(f"{number}{_letters(seen[number])}" if total[number] > 1 else str(number))
    return tags


def _letters(position: int) -> str:
    """1 -> a, 26 -> z, 27 -> aa."""
    text = ""
    while position:
        position, rest = divmod(position - 1, 26)
        text = chr(ord("a") + rest) + text
    return text


def _flags(row: LatencyRow) -> Iterable[str]:
    if row.interrupted:
        yield "interrupted: fewer samples than were asked for"
    if is_disturbed(row):
        yield f"other processes were busy: {row.usage.other_cpu:.2f} of {row.environment.cores} cores"
    if not row.stability.stable:
        spread, limit = row.stability.spread, row.stability.limit
        yield "unstable median: " + (
            "too few windows to tell" if spread is None else f"windows {spread:.1%} apart, {limit:.1%} allowed"
        )
    if row.fixed_rate is not None and row.fixed_rate.missed:
        rate = f" at {row.method.rate_fps:g} fps" if row.method.rate_fps is not None else ""
        yield f"missed {row.fixed_rate.missed} of {row.fixed_rate.offered} deadlines{rate}"
    if row.check.agreement is None:
        yield f"output not compared: {row.check.skipped or 'no reason given'}"
    elif row.check.limits is not None and (found := violations(row.check.agreement, row.check.limits)):
        yield f"output too far from the reference: {'; '.join(found)}"
