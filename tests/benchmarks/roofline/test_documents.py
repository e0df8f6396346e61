"""The tables of documents that `briges bench model` made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from briges.benchmarks.roofline.devices import find_device
from briges.benchmarks.roofline.estimate import Case, estimate
from briges.export.presets import find_preset

JETSON = Path(__file__).resolve().parents[3] / "docs" / "jetson.md"
ROWS = re.findall(r"^\| [^|]+ \| `([a-z][a-z0-9-]+)` \| (.+) \|$", JETSON.read_text(encoding="utf-8"), re.MULTILINE)


def cells(name: str) -> list[str]:
    """Peak; floor and range of briges-v2-b; its mean range with an interval of 4; the range of briges-v2-l."""
    device = find_device(name)
    small, large = find_preset("briges-v2-b"), find_preset("briges-v2-l")
    whole = estimate(Case(small, 518, 518), device)
    resting = estimate(Case(small, 518, 518, semantic_interval=4), device)
    ranges = [found.expected_ms for found in (whole, resting, estimate(Case(large, 518, 518), device))]
    return [
        f"{device.peak_tflops('fp16'):.1f}",
        f"{whole.floor_ms:.0f}",
        *(f"{best:.0f} to {worst:.0f}" for best, worst in ranges),
    ]


def test_the_table_has_every_jetson_people_buy() -> None:
    assert [name for name, _ in ROWS] == ["thor", "orin-agx-64", "orin-agx-32", "orin-nx-16", "orin-nano"]


@pytest.mark.parametrize(("name", "row"), ROWS)
def test_the_jetson_table_is_what_the_estimate_says(name: str, row: str) -> None:
    assert row.split(" | ") == cells(name)
