"""Rows as one HTML page that needs nothing else: style, script, charts and pictures are inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from briges.benchmarks.records import Row
from briges.benchmarks.report.accuracy_table import accuracy_columns, metric_text, metric_title
from briges.benchmarks.report.charts import distribution_chart, memory_chart
from briges.benchmarks.report.columns import ABSENT
from briges.benchmarks.report.entries import Report, make_report
from briges.benchmarks.report.estimate_table import estimate_columns
from briges.benchmarks.report.facts import (
    device_facts,
    differing,
    environment_facts,
    method_facts,
    protocol_facts,
    run_facts,
)
from briges.benchmarks.report.headlines import caveats, headlines
from briges.benchmarks.report.kernel_table import kernel_columns, kernel_facts
from briges.benchmarks.report.numbers import plain
from briges.benchmarks.report.positions import accuracy_chart, work_chart
from briges.benchmarks.report.stage_chart import stage_chart
from briges.benchmarks.report.summary import latency_columns
from briges.benchmarks.report.timelines import timeline


def render_page(rows: Iterable[Row]) -> str:
    """The page of ``rows``, which may be of any kinds. Texts of rows are escaped: names of files are not trusted."""
    report = make_report(rows)
    script = _asset("page.js")
    templates = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("page.html.j2").render(
        report=report,
        style=Markup(_asset("page.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        metric_text=metric_text,
        metric_title=metric_title,
        absent=ABSENT,
        plain=plain,
        headlines=headlines(report),
        caveats=caveats(report),
        **_tables(report),
        **_charts(report),
        **_explanations(report),
    )


def _tables(report: Report) -> dict[str, Any]:
    return {
        "marks": {
            "latency": [f"c{entry.colour}" for entry in report.latency],
            "accuracy": [f"c{one.colour}" for one in report.accuracy],
            "estimates": ["hollow"] * len(report.estimates),
            "kernels": [""] * len(report.kernels),
        },
        "latency": latency_columns(report),
        "accuracy": accuracy_columns(report.accuracy),
        "estimates": estimate_columns([row for _, row in report.estimates]),
        "kernels": kernel_columns([row for _, row in report.kernels]),
        "kernel_facts": kernel_facts([row for _, row in report.kernels]),
    }


def _charts(report: Report) -> dict[str, Any]:
    return {
        "distributions": distribution_chart(report.latency),
        "stages": stage_chart(report.latency),
        "memory": memory_chart(report.latency),
        "timelines": [drawn for entry in report.latency if (drawn := timeline(entry)) is not None],
        "scatter": accuracy_chart(report.latency),
        "work": work_chart(report),
    }


def _explanations(report: Report) -> dict[str, Any]:
    entries = report.latency
    places = [environment_facts(place.environment) for place in report.places]
    return {
        "facts": [
            method_facts(entry.row) | run_facts(entry.row) | device_facts(entry.row.environment) for entry in entries
        ],
        "protocols": [protocol_facts(one.row) | device_facts(one.row.environment) for one in report.accuracy],
        "notes": [(*entry.row.subject.notices, *entry.flags) for entry in entries],
        "places": places,
        "differing": differing(places),
    }


def _asset(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")
