"""The loops, with a clock in hand and a backend of known latency."""

from __future__ import annotations

import statistics

import pytest
from support.injected_clock import InjectedClock, synthetic

from briges.benchmarks.distribution import percentile
from briges.benchmarks.timing import (
    HostClock,
    Plan,
    Samples,
    _kept,
    time_fixed_rate,
    time_single_stream,
    warm_up,
)
from briges.runtime.errors import BackendError


def nobody(_share: float) -> None:
    """Where nobody watches."""


def test_every_request_is_kept_with_its_latency_and_when_it_was_due() -> None:
    clock = InjectedClock()
    samples = time_single_stream(synthetic(clock, [10, 20, 30]), Plan(0, 0.0, 6, settle=False), clock, nobody)
    assert samples.latencies_ms == pytest.approx([10, 20, 30, 10, 20, 30])
    assert samples.due_s == pytest.approx([0, 0.01, 0.03, 0.06, 0.07, 0.09])
    assert samples.answers == [0, 1, 2, 3, 4, 5]
    assert samples.seconds == pytest.approx(0.12)
    assert not samples.interrupted


def test_a_known_distribution_comes_out_of_the_loop() -> None:
    clock = InjectedClock()
    latencies = [1.0] * 90 + [2.0] * 9 + [50.0]
    samples = time_single_stream(synthetic(clock, latencies), Plan(0, 0.0, 1000, settle=False), clock, nobody)
    found = [round(percentile(samples.latencies_ms, percent), 6) for percent in (50, 90, 95, 99, 100)]
    assert found == [1.0, 1.0, 2.0, 2.0, 50.0]


def test_a_run_lasts_its_duration_and_its_least_iterations() -> None:
    clock = InjectedClock()
    long = time_single_stream(synthetic(clock, [100]), Plan(0, 2.05, 4, settle=False), clock, nobody)
    assert len(long.answers) == 21
    short = time_single_stream(synthetic(clock, [100]), Plan(0, 0.1, 40, settle=False), clock, nobody)
    assert len(short.answers) == 40


def test_a_stable_run_ends_at_once_and_one_that_drifts_goes_on_to_five_durations() -> None:
    clock = InjectedClock()
    steady = time_single_stream(synthetic(clock, [10]), Plan(0, 1.0, 12), clock, nobody)
    assert 1.0 <= steady.seconds < 1.02

    clock = InjectedClock()
    slower = [10 * 1.02**number for number in range(1000)]
    drifting = time_single_stream(synthetic(clock, slower), Plan(0, 1.0, 12), clock, nobody)
    assert 5.0 <= drifting.seconds < 7.0


def test_progress_is_the_share_of_the_duration() -> None:
    clock, shares = InjectedClock(), []
    time_single_stream(synthetic(clock, [250]), Plan(0, 1.0, 1, settle=False), clock, shares.append)
    assert shares == pytest.approx([0.25, 0.5, 0.75])


def test_warming_up_does_at_least_one_request() -> None:
    clock, calls = InjectedClock(), []
    warm_up(calls.append, Plan(0.0, 1.0, 1), clock)
    assert calls == [0]

    def slow(number: int) -> None:
        calls.append(number)
        clock.pass_s(0.4)

    calls.clear()
    warm_up(slow, Plan(1.0, 1.0, 1), clock)
    assert calls == [0, 1, 2]


def test_a_camera_that_is_slower_than_the_model_misses_nothing() -> None:
    clock = InjectedClock()
    samples, camera = time_fixed_rate(synthetic(clock, [10]), 20.0, Plan(0, 1.0, 1), clock, nobody)
    assert samples.latencies_ms == pytest.approx([10] * len(samples.answers))
    assert (camera.missed, camera.queue_max) == (0, 0)
    assert samples.due_s[:3] == pytest.approx([0, 0.05, 0.1])


def test_one_slow_frame_delays_those_behind_it_and_misses_as_computed_by_hand() -> None:
    # A frame every 100 ms. Frame 1 takes 250 ms: answered at 350, due 100. Frame 2, due 200, begins at 350, ends at
    # 430: 230 ms, missed. Frame 3, due 300, begins 430, ends 510: 210, missed. Frame 4: due 400, 510-590: 190, missed.
    # Frame 5: 590-670, due 500: 170. Frame 6: 670-750: 150. 7: 130. 8: 110, missed. 9, due 900: 910-990: 90, in time.
    clock = InjectedClock()
    latencies = [80.0, 250.0, *[80.0] * 8]
    samples, camera = time_fixed_rate(synthetic(clock, latencies), 10.0, Plan(0, 0.0, 10), clock, nobody)
    assert samples.latencies_ms == pytest.approx([80, 250, 230, 210, 190, 170, 150, 130, 110, 90])
    assert (camera.offered, camera.missed) == (10, 8)
    # Frame 2 begins at 350 ms: frame 3 waits behind it.
    assert camera.queue_max == 1


def test_a_camera_that_is_faster_than_the_model_has_an_ever_longer_queue() -> None:
    clock = InjectedClock()
    samples, camera = time_fixed_rate(synthetic(clock, [100]), 20.0, Plan(0, 0.0, 10), clock, nobody)
    assert camera.missed == camera.offered == 10
    assert samples.latencies_ms == pytest.approx([100 + 50 * number for number in range(10)])
    assert camera.queue_max == 9


def test_ctrl_c_keeps_what_was_measured() -> None:
    clock = InjectedClock()

    def call(number: int) -> int:
        if number == 3:
            raise KeyboardInterrupt
        clock.pass_s(0.01)
        return number

    samples = time_single_stream(call, Plan(0, 10.0, 100), clock, nobody)
    assert samples.interrupted
    assert samples.answers == [0, 1, 2]
    samples, camera = time_fixed_rate(call, 10.0, Plan(0, 10.0, 100), clock, nobody)
    assert samples.interrupted
    assert camera.offered == 3


def test_ctrl_c_before_the_first_answer_is_raised() -> None:
    def call(_number: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        time_single_stream(call, Plan(0, 10.0, 100), InjectedClock(), nobody)
    with pytest.raises(KeyboardInterrupt):
        time_fixed_rate(call, 10.0, Plan(0, 10.0, 100), InjectedClock(), nobody)


def test_an_error_keeps_what_was_measured_and_says_what_it_was() -> None:
    clock = InjectedClock()

    def call(number: int) -> int:
        clock.pass_s(0.01 if number < 3 else -1.0)
        return number

    samples = time_single_stream(call, Plan(0, 10.0, 100), clock, nobody)
    assert samples.answers == [0, 1, 2]
    assert len(samples.due_s) == len(samples.latencies_ms) == len(samples.busy_ms) == 3
    assert isinstance(samples.failure, BackendError)
    assert "clock: it went back by" in str(samples.failure)


def test_ctrl_c_between_two_figures_of_a_request_leaves_whole_requests() -> None:
    samples = Samples([0.0, 0.1, 0.2], [1.0, 1.0, 1.0], [1.0, 1.0], [7, 8])
    kept = _kept(samples, KeyboardInterrupt())
    assert [len(kept.due_s), len(kept.latencies_ms), len(kept.busy_ms)] == [2, 2, 2]


def test_a_clock_that_goes_backwards_is_an_error() -> None:
    clock = InjectedClock()

    def call(number: int) -> int:
        clock.pass_s(-0.5)
        return number

    with pytest.raises(BackendError, match=r"clock: it went back by 0\.500000 s during a request"):
        time_single_stream(call, Plan(0, 1.0, 10), clock, nobody)
    with pytest.raises(BackendError, match="clock: it went back by"):
        time_fixed_rate(call, 10.0, Plan(0, 1.0, 10), clock, nobody)


def test_the_hosts_clock_waits_until_the_moment_and_not_much_longer() -> None:
    clock = HostClock()
    late_ms = []
    for _ in range(20):
        moment_s = clock.now_s() + 0.005
        clock.wait_until_s(moment_s)
        late_ms.append((clock.now_s() - moment_s) * 1000)
    assert min(late_ms) >= 0
    assert statistics.median(late_ms) < 1


def test_an_iteration_costs_less_than_20_microseconds() -> None:
    """Of the loop itself, with a backend that does nothing; the best of some, as others may use the machine."""
    costs_us = []
    for _ in range(5):
        samples = time_single_stream(lambda number: number, Plan(0, 0.05, 2000, settle=False), HostClock(), nobody)
        costs_us.append(samples.seconds / len(samples.answers) * 1e6)
    print(f"{min(costs_us):.2f} us per iteration")
    assert min(costs_us) <= 20
