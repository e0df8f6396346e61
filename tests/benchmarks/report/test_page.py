"""The page: figures computed by hand, hostile names, nothing from outside, and that it stays small and quick."""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Iterable
from html.parser import HTMLParser

import pytest
from support.result_rows import (
    make_accuracy_row,
    make_environment,
    make_estimate_row,
    make_latency_row,
    make_method,
    make_subject,
    make_unmeasured_row,
)

from briges.benchmarks.accuracy.rows import ImageScore, Picture
from briges.benchmarks.records import Row
from briges.benchmarks.report.page import render_page
from briges.benchmarks.rows import FixedRate, Reading, Stability, Stage, Usage

EVERY_KIND = (make_latency_row(), make_accuracy_row(), make_estimate_row(), make_unmeasured_row())


class Parsed(HTMLParser):
    """The page as elements with their attributes, and as text without scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.texts.append(data.strip())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(text for text in self.texts if text)


def parsed(rows: Iterable[Row]) -> Parsed:
    return Parsed(render_page(rows))


def test_the_summary_has_the_figures_computed_by_hand():
    text = parsed(EVERY_KIND).text
    # p50 p90 p99 jitter throughput overhead host memory stable check AbsRel delta1
    cells = (
        "fp16 518x518 1 12.0 18.0 20.0 3.22 76.9 1.20 1200 yes 4.8e-04 passed 0.0600 folder rooms 0.9600 folder rooms"
    )
    assert cells in text
    assert "lowest median latency 12 ms" in text
    assert "highest throughput 76.92 images/s" in text


def test_charts_have_percentiles_stages_memory_and_work():
    text = parsed(EVERY_KIND).text
    assert "p50 12 · p90 18 · p99 20 ms · n 10" in text
    assert "host clock: ■ preprocess 0.6 ■ model 10.8 ■ postprocess 0.6" in text
    assert "host: steady 800 MB, peak 1200 MB" in text
    (rate,) = re.findall(r"(\d+) GFLOP/s at the median", text)
    assert int(rate) == pytest.approx((303.1 + 965.6 + 201.1 + 77.6) / 0.012, rel=0.01)
    assert "ESTIMATE 14000 to 28000 GFLOP/s, 56000 at most" in text  # 1400 GFLOP in 100, 50 and 25 ms


def test_stages_of_two_clocks_are_never_in_one_bar():
    stages = (Stage("wait", "host", (1.0, 3.0)), Stage("geometry", "device", (2.0, 2.0)))
    page = render_page([make_latency_row(stages=stages)])
    text = Parsed(page).text
    assert "host clock: ■ wait 1" in text
    assert "device clock: ■ geometry 2" in text
    # Each bar is as wide as the chart: neither holds a part of the other.
    assert len(re.findall(r'<rect x="4" y="[0-9.]+" width="432" height="14"', page)) == 2


def test_pictures_have_captions_metrics_and_alternative_texts():
    page = parsed(EVERY_KIND)
    (picture,) = page.named("img")
    assert picture["alt"] == "hall.png: photograph, ground truth, depth"
    assert str(picture["src"]).startswith("data:image/jpeg;base64,/9j/4AAQ")
    assert "hall.png photograph, ground truth, depth · AbsRel 0.0500 · δ1 0.9700 · RMSE, m 0.3000" in page.text
    assert "dark.png skipped: no pixel of its ground truth is valid" in page.text


def test_how_it_was_measured_and_what_was_not_is_told():
    text = parsed(EVERY_KIND).text
    assert "timed region a photograph in memory to its depth in memory" in text
    assert "command briges bench latency build/engine --json results.jsonl" in text
    assert "percentiles nearest rank" in text
    assert "preset briges-v2-l, precision bf16, size 518x518, engine tensorrt no GPU is here" in text


def test_random_weights_are_told_at_the_top_in_the_table_at_the_pictures_and_in_the_details():
    text = parsed(EVERY_KIND).text
    assert "Rows 1, A1 : RANDOM WEIGHTS (seed 0): the depth means nothing" in text
    assert text.count("⚠ RANDOM WEIGHTS (seed 0)") == 3
    assert "⚠ briges-v2-b fp16 518x518, ONNX Runtime 1.31.1 CPU" in text


def test_doubtful_rows_are_flagged_in_the_table():
    changes = {
        "stability": Stability(False, 5, 0.031, 0.01),
        "interrupted": True,
        "fixed_rate": FixedRate(300, 7, 2),
        "method": make_method(mode="fixed-rate", rate_fps=30.0),
    }
    text = parsed([make_latency_row(**changes)]).text
    for flag in ("⚠ unstable median", "⚠ interrupted", "⚠ missed 7 of 300 deadlines at 30 fps"):
        assert text.count(flag) == 2  # in the table and in the details
    assert "lowest median latency" not in text  # an interrupted row is no headline


def test_environments_that_differ_are_warned_of_and_what_differs_is_marked():
    page = parsed([make_latency_row(), make_latency_row(environment=make_environment(driver="570.1", cores=4))])
    assert "2 environments, which differ in CPU, driver: compare figures within one environment only" in page.text
    assert "Environment 1 row 1a" in page.text
    assert sum(attributes.get("class") == "differs" for attributes in page.named("div")) == 3  # CPU twice, driver once


def test_one_environment_has_no_warning():
    assert "differ" not in parsed(EVERY_KIND).text


def test_the_same_rows_twice_are_shown_once():
    page = parsed([*EVERY_KIND, *EVERY_KIND])
    assert "4 given more than once and shown once" in page.text
    assert sum(attributes.get("id") == "row-1" for attributes in page.named("details")) == 1


def test_readings_of_the_device_stand_below_latency():
    readings = [Reading(float(at), 1300.0 - at, None, 45.0 + at, 30.0, None, None) for at in range(3)]
    text = parsed([make_latency_row(readings=tuple(readings))]).text
    assert "temperature 45 °C at first, 45 to 47" in text
    assert "clock 1300 MHz at first, 1298 to 1300" in text
    assert "power 30 W at first, 30 to 30" in text


def test_a_row_without_any_sample_is_still_a_page():
    bare = {"samples_ms": (), "started_s": (), "stages": (), "overhead_ms": (), "interrupted": True}
    usage = Usage(None, None, None, None, None, 0, 0.0, None, None, None)
    latency = make_latency_row(subject=make_subject(preset="unheard-of", size="large"), usage=usage)
    page = parsed([latency.__class__(**{**vars(latency), **bare})])
    assert "unheard-of" in page.text
    assert page.named("svg") == []


def test_hostile_names_are_texts_and_nothing_else():
    bad = "</script><script>alert(1)</script><img src=http://example.com onerror=alert(1)>\"'"
    rows = [
        make_latency_row(
            subject=make_subject(preset=bad, backend=bad, bundle=bad, notices=(bad,)),
            method=make_method(command=bad, frames=bad),
            environment=make_environment(cpu=bad, versions={bad: bad}),
            stages=(Stage(bad, "host", (1.0,)),),
        ),
        make_accuracy_row(
            subject=make_subject(preset=bad, backend=bad),
            images=(ImageScore(bad, {bad: 1.0}, None, None, bad),),
            pictures=(Picture(bad, bad, bad),),
        ),
        make_estimate_row(device=bad, advice=(bad,), sources=(bad,)),
        make_unmeasured_row(case={bad: bad}, reason=bad),
    ]
    page = parsed(rows)
    assert len(page.named("script")) == 1
    (picture,) = page.named("img")
    assert picture["src"] == f"data:image/jpeg;base64,{bad}"
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert bad in page.text


def test_nothing_comes_from_outside():
    page = render_page(EVERY_KIND)
    # Without comments of the script, and pictures.
    assert "//" not in re.sub(r"(^|; )// .*$|base64,\S+", "", page, flags=re.MULTILINE)
    assert "@import" not in page
    assert "url(" not in page
    targets = [
        value
        for _, attributes in Parsed(page).elements
        for name, value in attributes.items()
        if name in ("src", "href")
    ]
    assert targets
    assert all(str(target).startswith(("#", "data:")) for target in targets)
    assert "default-src 'none'" in page


def test_headings_never_skip_a_level_and_every_table_has_a_caption():
    page = parsed(EVERY_KIND)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(page.named("caption")) == len(page.named("table"))
    assert all(attributes.get("aria-label") for attributes in page.named("svg"))


def test_20_rows_of_10000_samples_are_a_small_page_made_quickly():
    chance = random.Random(0)
    rows = [
        make_latency_row([10 + chance.expovariate(1) for _ in range(10_000)], subject=make_subject(batch=at))
        for at in range(1, 21)
    ]
    started = time.perf_counter()
    page = render_page(rows)
    assert time.perf_counter() - started < 5
    assert len(page) < 5_000_000
