"""What the line says."""

from __future__ import annotations

import re

from briges.runtime.pipelines.live_line import LiveLine
from briges.runtime.pipelines.stages import FrameReport, StageTimes

TIMES = StageTimes(1.0, 1.0, 1.0, 1.0, 1.0)


def test_the_line_has_rate_latency_drops_and_the_age_of_the_semantics_if_there_are_any() -> None:
    line = LiveLine()
    assert line.add(FrameReport(TIMES, 40.4, 0, None)) == "frame 1: latency 40 ms (median 40), 0 dropped"
    line.add(FrameReport(TIMES, 60.0, 3, 0))
    text = line.add(FrameReport(TIMES, 50.0, 7, 2))
    assert re.fullmatch(r"frame 3: [0-9.]+ fps, latency 50 ms \(median 50\), 7 dropped, semantics 2 old", text)
