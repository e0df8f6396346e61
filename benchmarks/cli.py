"""`briges bench`: the group of its commands."""

from __future__ import annotations

import click

from briges.benchmarks.compare_cli import compare
from briges.benchmarks.kernel_cli import kernel
from briges.benchmarks.latency_cli import latency
from briges.benchmarks.matrix_cli import matrix
from briges.benchmarks.report.cli import report
from briges.benchmarks.roofline.cli import model
from briges.runtime.main import CheckedGroup


@click.group(cls=CheckedGroup)
def bench() -> None:
    """Measure bundles, outputs compared before anything is timed; compare, estimate and show results."""


for _command in (latency, compare, matrix, model, kernel, report):
    bench.add_command(_command)
