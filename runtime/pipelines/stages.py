"""Decoding, inference and encoding at the same time: a thread each for the first and the last, ours between them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from briges.runtime.estimator import DepthEstimator
from briges.runtime.pipelines.channel import Channel
from briges.runtime.result import DepthResult

Sink = Callable[[NDArray[np.uint8], DepthResult, int], None]

# A camera may run for weeks; this many latencies are remembered.
_REMEMBERED = 10_000


class StageTimes(NamedTuple):
    """Host milliseconds of one image or frame. Colouring counts as writing, as does encoding."""

    read_ms: float
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    write_ms: float


class FrameReport(NamedTuple):
    """One frame that is done. ``latency_ms``: from when it was decoded to when it was encoded, waiting included;
    ``dropped``: frames given up before it, from the start; ``semantics_age``: as of ``DepthResult``."""

    times: StageTimes
    latency_ms: float
    dropped: int
    semantics_age: int | None


@dataclass(frozen=True)
class PipelineSummary:
    """``frames`` were encoded, ``dropped`` were decoded and gave way to newer ones. ``latencies_ms``: of the last
    10000 frames at most, in order, from decoded to encoded."""

    frames: int
    dropped: int
    seconds: float
    latencies_ms: tuple[float, ...]


class _Decoded(NamedTuple):
    image: NDArray[np.uint8]
    read_ms: float
    at_s: float


class _Estimated(NamedTuple):
    decoded: _Decoded
    result: DepthResult
    dropped: int


def run_pipeline(
    frames: Iterable[NDArray[np.uint8]],
    estimator: DepthEstimator,
    sink: Sink,
    *,
    latest: bool,
    stop: threading.Event,
    queue_frames: int = 2,
    temperature: float | None = None,
    max_frames: int | None = None,
    on_frame: Callable[[FrameReport], None] = lambda _report: None,
) -> PipelineSummary:
    """Take every frame through ``estimator`` to ``sink``, in order; the three work on different frames at once.

    frames: uint8 RGB [height, width, 3], read in a thread of its own
    sink: takes a frame, its depth, and how many frames were dropped just before it, in another; ``on_frame`` is
        called there after it
    latest: for cameras, a new frame replaces the one that inference has not taken yet. Otherwise nothing is dropped:
        whoever is ahead waits
    queue_frames: how many frames may wait before inference and before the sink, unless ``latest``
    stop: once set, by whomever, frames not yet estimated are given up and those that are reach the sink
    max_frames: end after this many
    Inference runs in the calling thread, in batches of the engine's size unless ``latest``. An error of any of the
    three ends the others and is raised here, once; frames that came before it still reach the sink if that is not what
    failed. Ctrl-C is such an error. No thread is left, so that this waits for a source that does not answer.
    """
    started_s = time.perf_counter()
    batch = 1 if latest else estimator.manifest.model.batch
    decoded: Channel[_Decoded] = Channel(1 if latest else max(queue_frames, batch), latest=latest)
    estimated: Channel[_Estimated] = Channel(queue_frames)
    failures: list[BaseException] = []
    latencies_ms: deque[float] = deque(maxlen=_REMEMBERED)
    count = 0

    def encode() -> None:
        nonlocal count
        dropped = 0
        while items := estimated.take():
            report = _encode(items[0], sink, items[0].dropped - dropped)
            count, dropped = count + 1, report.dropped
            latencies_ms.append(report.latency_ms)
            on_frame(report)

    threads = [
        _thread("decode", lambda: _decode(frames, decoded, stop), failures, decoded.close),
        _thread("encode", encode, failures, estimated.cancel),
    ]
    try:
        for thread in threads:
            thread.start()
        _estimate(decoded, estimated, estimator, batch, temperature, max_frames, stop)
    finally:
        decoded.cancel()
        estimated.close()
        for thread in reversed(threads):  # the encoder first: what it writes must not wait for a dead camera
            if thread.ident is not None:
                thread.join()
    if failures:
        raise failures[0]
    return PipelineSummary(count, decoded.dropped, time.perf_counter() - started_s, tuple(latencies_ms))


def _thread(
    name: str, work: Callable[[], None], failures: list[BaseException], at_end: Callable[[], None]
) -> threading.Thread:
    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            at_end()

    # A daemon: a second Ctrl-C must end the process even if a camera's driver never returns.
    return threading.Thread(target=run, name=f"briges-{name}", daemon=True)


def _decode(frames: Iterable[NDArray[np.uint8]], decoded: Channel[_Decoded], stop: threading.Event) -> None:
    started_s = time.perf_counter()
    for image in frames:
        at_s = time.perf_counter()
        if stop.is_set() or not decoded.put(_Decoded(image, (at_s - started_s) * 1000, at_s)):
            return
        started_s = time.perf_counter()


def _estimate(
    decoded: Channel[_Decoded],
    estimated: Channel[_Estimated],
    estimator: DepthEstimator,
    batch: int,
    temperature: float | None,
    max_frames: int | None,
    stop: threading.Event,
) -> None:
    done = 0
    while not stop.is_set() and (max_frames is None or done < max_frames):
        wanted = batch if max_frames is None else min(batch, max_frames - done)
        chunk = decoded.take(wanted, stop)
        if not chunk:
            return
        dropped = decoded.dropped
        results = estimator.batch([item.image for item in chunk], temperature=temperature)
        for item, result in zip(chunk, results, strict=True):
            if not estimated.put(_Estimated(item, result, dropped)):
                return
        done += len(chunk)


def _encode(item: _Estimated, sink: Sink, lost: int) -> FrameReport:
    started_s = time.perf_counter()
    sink(item.decoded.image, item.result, lost)
    now_s = time.perf_counter()
    timings = item.result.timings
    times = StageTimes(
        item.decoded.read_ms,
        timings.preprocess_ms,
        timings.inference_ms,
        timings.postprocess_ms,
        (now_s - started_s) * 1000,
    )
    return FrameReport(times, (now_s - item.decoded.at_s) * 1000, item.dropped, item.result.semantics_age)
