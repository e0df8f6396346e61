"""Several single streams at once, as several cameras on one engine."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic

from briges.benchmarks.timing import Answer, Clock, Plan, Samples, time_single_stream


def time_streams(
    calls: Sequence[Callable[[int], Answer]], plan: Plan, clock: Clock, on_progress: Callable[[float], None]
) -> Samples[Answer]:
    """Each of ``calls`` in a thread of its own; the samples of all of them in the order they were due.

    All go on until the last one has had the plan's duration and requests, so that none is ever timed with less company;
    a stable median is not waited for.
    Raises the first error of any. Ctrl-C ends them all and keeps what was measured.
    """
    crew: _Crew[Answer] = _Crew(calls, plan, clock, on_progress, clock.now_s())
    threads = [threading.Thread(target=crew.work, args=(index,), daemon=True) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    interrupted = _join(threads, crew.stop)
    for error in crew.failures:
        if not isinstance(error, KeyboardInterrupt):
            raise error
    if not crew.results:
        raise KeyboardInterrupt
    return _merged(crew.results, clock.now_s() - crew.started_s, interrupted)


@dataclass
class _Crew(Generic[Answer]):
    """What the threads share. ``finished``: those that have had their duration and requests."""

    calls: Sequence[Callable[[int], Answer]]
    plan: Plan
    clock: Clock
    on_progress: Callable[[float], None]
    started_s: float
    stop: threading.Event = field(default_factory=threading.Event)
    finished: set[int] = field(default_factory=set)
    results: list[Samples[Answer]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    def work(self, index: int) -> None:
        """One stream, in its own thread."""

        def until_all_are_done(number: int) -> Answer:
            if number >= self.plan.min_iterations and self._passed_s() >= self.plan.duration_s:
                self.finished.add(index)
            if self.stop.is_set() or len(self.finished) == len(self.calls):
                raise KeyboardInterrupt  # which ends a loop and keeps its samples
            return self.calls[index](number)

        try:
            offset_s = self._passed_s()
            endless = dataclasses.replace(self.plan, duration_s=math.inf)
            found = time_single_stream(until_all_are_done, endless, self.clock, lambda _: self._tell())
            if found.failure:
                raise found.failure
            found.due_s = [due_s + offset_s for due_s in found.due_s]
            self.results.append(found)
        except BaseException as error:
            self.failures.append(error)
            self.stop.set()

    def _passed_s(self) -> float:
        return self.clock.now_s() - self.started_s

    def _tell(self) -> None:
        self.on_progress(min(1.0, self._passed_s() / self.plan.duration_s) if self.plan.duration_s else 1.0)


def _join(threads: Sequence[threading.Thread], stop: threading.Event) -> bool:
    """Wait for all; whether Ctrl-C came."""
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        stop.set()
        _join(threads, stop)  # after a second one too: what they use must not be closed before they end
        return True
    return False


def _merged(results: Sequence[Samples[Answer]], seconds: float, interrupted: bool) -> Samples[Answer]:
    rows = sorted(
        (row for one in results for row in zip(one.due_s, one.latencies_ms, one.busy_ms, one.answers, strict=True)),
        key=lambda row: row[0],
    )
    due_s, latencies_ms, busy_ms, answers = (list(column) for column in zip(*rows, strict=True))
    return Samples(due_s, latencies_ms, busy_ms, answers, seconds, interrupted)
