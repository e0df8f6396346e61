"""The loops that time requests: one after the other, or at the rate of a camera.

A loop knows nothing of what it times: ``call`` is given the number of the request and does it. The clock is given too,
so that percentiles, deadlines and the end of a run can be tested by hand.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from briges.benchmarks.distribution import judge_stability
from briges.benchmarks.rows import FixedRate
from briges.runtime.errors import BackendError, BrigesError

Answer = TypeVar("Answer")

# A run that has not settled goes on for this many times its duration.
_PATIENCE = 5
# time.sleep may wake that late; the rest is waited for awake.
_SLEEP_ERROR_S = 0.001


class Clock(Protocol):
    """A monotonic clock in seconds."""

    def now_s(self) -> float:
        """Seconds from any fixed moment."""

    def wait_until_s(self, moment_s: float) -> None:
        """Return at ``moment_s``, at once if it is past."""


class HostClock:
    """The clock of the machine."""

    now_s = staticmethod(time.perf_counter)

    def wait_until_s(self, moment_s: float) -> None:
        """Sleep, and stay awake for the last millisecond."""
        while (left_s := moment_s - time.perf_counter()) > 0:
            if left_s > _SLEEP_ERROR_S:
                time.sleep(left_s - _SLEEP_ERROR_S)


@dataclass(frozen=True)
class Plan:
    """How long to measure. At least ``duration_s`` and ``min_iterations``; then until the median is stable, up to five
    times as long. ``settle``: False ends without waiting for that.
    """

    warm_up_s: float
    duration_s: float
    min_iterations: int
    settle: bool = True


@dataclass
class Samples(Generic[Answer]):
    """What a loop measured, per request in order: when it was due, seconds from the start; milliseconds from then until
    its answer, ``busy_ms`` of them in ``call``; and what that gave. ``interrupted``: Ctrl-C ended it, or ``failure``.
    """

    due_s: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    busy_ms: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False
    failure: BrigesError | None = None


def warm_up(call: Callable[[int], object], plan: Plan, clock: Clock, least: int = 1) -> None:
    """At least ``least`` requests, then more until the time of the plan is over."""
    started_s, number = clock.now_s(), 0
    while number < least or clock.now_s() - started_s < plan.warm_up_s:
        call(number)
        number += 1


def time_single_stream(
    call: Callable[[int], Answer], plan: Plan, clock: Clock, on_progress: Callable[[float], None]
) -> Samples[Answer]:
    """The next request when the last is answered. ``on_progress``: gets the share that is done, 0..1.

    Ctrl-C, an error of ``call`` and a clock that runs backwards, which is a BackendError, end it and keep what was
    measured; with nothing measured they are raised.
    """
    samples: Samples[Answer] = Samples()
    started_s = clock.now_s()
    check_at = plan.min_iterations
    try:
        while True:
            begun_s = clock.now_s()
            answer = call(len(samples.answers))
            ended_s = clock.now_s()
            _require_forwards(begun_s, ended_s)
            samples.due_s.append(begun_s - started_s)
            samples.latencies_ms.append((ended_s - begun_s) * 1000)
            samples.busy_ms.append((ended_s - begun_s) * 1000)
            samples.answers.append(answer)
            samples.seconds = ended_s - started_s
            if len(samples.answers) >= check_at and samples.seconds >= plan.duration_s:
                if _is_over(samples, plan):
                    return samples
                check_at = len(samples.answers) + max(1, len(samples.answers) // 10)  # judging costs time too
            on_progress(_share(samples, plan))
    except (KeyboardInterrupt, BrigesError) as error:
        return _kept(samples, error)


def time_fixed_rate(
    call: Callable[[int], Answer], rate_fps: float, plan: Plan, clock: Clock, on_progress: Callable[[float], None]
) -> tuple[Samples[Answer], FixedRate]:
    """Requests that come by themselves, as frames of a camera do: number k at k / rate seconds, none is dropped.

    Latency counts from when a request came, waiting included (as MLPerf's does); one that is answered later than a
    period after it came has missed its deadline. Ends when the plan's duration and requests are over; raises as
    ``time_single_stream``.
    """
    samples: Samples[Answer] = Samples()
    period_s, missed, queue_max = 1 / rate_fps, 0, 0
    started_s = clock.now_s()
    try:
        while samples.seconds < plan.duration_s or len(samples.answers) < plan.min_iterations:
            number = len(samples.answers)
            due_s = started_s + number * period_s
            clock.wait_until_s(due_s)
            begun_s = clock.now_s()
            answer = call(number)
            ended_s = clock.now_s()
            _require_forwards(begun_s, ended_s)
            queue_max = max(queue_max, int((begun_s - due_s) * rate_fps))
            missed += ended_s - due_s > period_s
            samples.due_s.append(due_s - started_s)
            samples.latencies_ms.append((ended_s - due_s) * 1000)
            samples.busy_ms.append((ended_s - begun_s) * 1000)
            samples.answers.append(answer)
            samples.seconds = ended_s - started_s
            on_progress(_share(samples, plan))
    except (KeyboardInterrupt, BrigesError) as error:
        _kept(samples, error)
    return samples, FixedRate(len(samples.answers), missed, queue_max)


def _share(samples: Samples[Answer], plan: Plan) -> float:
    of_time = samples.seconds / plan.duration_s if plan.duration_s else 1.0
    return min(1.0, of_time, len(samples.answers) / plan.min_iterations)


def _is_over(samples: Samples[Answer], plan: Plan) -> bool:
    late = samples.seconds >= _PATIENCE * plan.duration_s
    return not plan.settle or late or judge_stability(samples.latencies_ms).stable


def _kept(samples: Samples[Answer], error: KeyboardInterrupt | BrigesError) -> Samples[Answer]:
    whole = len(samples.answers)
    if not whole:
        raise error
    for column in (samples.due_s, samples.latencies_ms, samples.busy_ms):  # Ctrl-C may come between two of them
        del column[whole:]
    samples.interrupted = True
    samples.failure = error if isinstance(error, BrigesError) else None
    return samples


def _require_forwards(begun_s: float, ended_s: float) -> None:
    if ended_s < begun_s:
        raise BackendError(
            subject="clock",
            came=f"it went back by {begun_s - ended_s:.6f} s during a request",
            expected="a monotonic clock",
            cure="measure again; on a virtual machine, look at its clock source: "
            "/sys/devices/system/clocksource/clocksource0/current_clocksource",
        )
