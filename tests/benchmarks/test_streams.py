"""Several streams at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from briges.benchmarks.streams import time_streams
from briges.benchmarks.timing import HostClock, Plan
from briges.runtime.errors import BackendError


def nobody(_share: float) -> None:
    """Where nobody watches."""


def test_streams_run_beside_each_other_and_all_their_samples_are_kept() -> None:
    calls = [lambda number: time.sleep(0.01) or number for _ in range(3)]
    samples = time_streams(calls, Plan(0, 0.2, 3, settle=False), HostClock(), nobody)
    assert len(samples.answers) == len(samples.latencies_ms) == len(samples.due_s)
    assert samples.due_s == sorted(samples.due_s)
    # Three sleep at once: more work is done than time passes.
    assert sum(samples.latencies_ms) / 1000 > 1.5 * samples.seconds


def test_a_fast_stream_goes_on_until_the_slow_one_is_done() -> None:
    counts = [0, 0]

    def call(stream: int, seconds: float) -> Callable[[int], int]:
        def request(number: int) -> int:
            time.sleep(seconds)
            counts[stream] += 1
            return number

        return request

    samples = time_streams([call(0, 0.002), call(1, 0.05)], Plan(0, 0.01, 4), HostClock(), nobody)
    assert counts[1] == 4
    assert counts[0] > 20  # and not the 4 that it needed
    assert samples.seconds >= 0.2
    assert len(samples.answers) == sum(counts)
    assert not samples.interrupted


def test_an_error_in_one_stream_ends_the_others_and_is_raised() -> None:
    def fail(_number: int) -> None:
        raise BackendError(subject="engine", came="broken", expected="whole", cure="none")

    def patient(_number: int) -> None:
        time.sleep(0.005)

    started_s = time.perf_counter()
    with pytest.raises(BackendError, match="engine: broken"):
        time_streams([patient, fail], Plan(0, 30.0, 1), HostClock(), nobody)
    assert time.perf_counter() - started_s < 5
