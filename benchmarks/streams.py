"""Several single streams at once, as several cameras on one engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from briges.benchmarks.timing import Answer, Clock, Plan, Samples, time_single_stream


def time_streams(
    calls: Sequence[Callable[[int], Answer]], plan: Plan, clock: Clock, on_progress: Callable[[float], None]
) -> Samples[Answer]:
    """Each of ``calls`` in a thread of its own; the samples of all of them in the order they were due.

    Raises the first error of any. Ctrl-C ends them all and keeps what was measured.
    """
    stop, failures = threading.Event(), list[BaseException]()
    results: list[Samples[Answer]] = []
    started_s = clock.now_s()

    def work(call: Callable[[int], Answer]) -> None:
        def until_stopped(number: int) -> Answer:
            if stop.is_set():
                raise KeyboardInterrupt
            return call(number)

        try:
            offset_s = clock.now_s() - started_s
            found = time_single_stream(until_stopped, plan, clock, on_progress)
            found.due_s = [due_s + offset_s for due_s in found.due_s]
            results.append(found)
        except BaseException as error:
            failures.append(error)
            stop.set()

    threads = [threading.Thread(target=work, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    interrupted = _join(threads, stop)
    for error in failures:
        if not isinstance(error, KeyboardInterrupt):
            raise error
    if not results:
        raise KeyboardInterrupt
    return _merged(results, clock.now_s() - started_s, interrupted)


def _join(threads: Sequence[threading.Thread], stop: threading.Event) -> bool:
    """Wait for all; whether Ctrl-C came."""
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        stop.set()
        for thread in threads:
            thread.join()
        return True
    return False


def _merged(results: Sequence[Samples[Answer]], seconds: float, interrupted: bool) -> Samples[Answer]:
    rows = sorted(
        (row for one in results for row in zip(one.due_s, one.latencies_ms, one.busy_ms, one.answers, strict=True)),
        key=lambda row: row[0],
    )
    due_s, latencies_ms, busy_ms, answers = (list(column) for column in zip(*rows, strict=True))
    return Samples(due_s, latencies_ms, busy_ms, answers, seconds, interrupted)
