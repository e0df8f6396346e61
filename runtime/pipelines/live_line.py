"""One line that changes while a stream runs, and what it says."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator

from briges.runtime.pipelines.stages import FrameReport

# Of the last so many frames; a rate over the whole run would hide that a stream has become slow.
_WINDOW_FRAMES = 60


@contextlib.contextmanager
def live_line() -> Iterator[Callable[[FrameReport], None]]:
    """Show fps, latency, dropped frames and the semantics' age on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _report: None
        return
    line = LiveLine()
    with Live(Text("waiting for the first frame"), console=console, transient=True) as live:
        yield lambda report: live.update(Text(line.add(report), no_wrap=True, overflow="ellipsis"))


class LiveLine:
    """The text, over the last 60 frames; it fits into 80 columns: a semantics' age is in frames."""

    def __init__(self) -> None:
        self._ends_s: deque[float] = deque(maxlen=_WINDOW_FRAMES)
        self._latencies_ms: deque[float] = deque(maxlen=_WINDOW_FRAMES)
        self._frames = 0

    def add(self, report: FrameReport) -> str:
        """Take in a frame that is done just now."""
        self._frames += 1
        self._ends_s.append(time.perf_counter())
        self._latencies_ms.append(report.latency_ms)
        took_s = self._ends_s[-1] - self._ends_s[0]
        rate = f"{(len(self._ends_s) - 1) / took_s:.1f} fps, " if took_s > 0 else ""
        text = f"frame {self._frames}: {rate}latency {report.latency_ms:.0f} ms"
        text += f" (median {statistics.median(self._latencies_ms):.0f}), {report.dropped} dropped"
        return text if report.semantics_age is None else f"{text}, semantics {report.semantics_age} old"
