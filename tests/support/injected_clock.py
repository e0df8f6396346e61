"""A clock that tests move by hand, and a backend that takes as long as it is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class InjectedClock:
    """Seconds pass only in ``wait_until_s`` and by ``pass_s``."""

    def __init__(self) -> None:
        self.seconds = 1000.0  # a monotonic clock begins anywhere

    def now_s(self) -> float:
        return self.seconds

    def wait_until_s(self, moment_s: float) -> None:
        self.seconds = max(self.seconds, moment_s)

    def pass_s(self, seconds: float) -> None:
        self.seconds += seconds


def synthetic(clock: InjectedClock, latencies_ms: Sequence[float]) -> Callable[[int], int]:
    """A backend whose request number n takes ``latencies_ms[n]``, in turn; it answers its number."""

    def call(number: int) -> int:
        clock.pass_s(latencies_ms[number % len(latencies_ms)] / 1000)
        return number

    return call
