"""`briges bench`: parses, calls one comparison, prints it."""

from __future__ import annotations

from pathlib import Path

import click

from briges.benchmarks.report.cli import report
from briges.benchmarks.roofline.cli import model
from briges.runtime.main import CheckedGroup
from briges.runtime.terminal import progress, warn


@click.group(cls=CheckedGroup)
def bench() -> None:
    """Measure bundles, outputs compared before anything is timed."""


bench.add_command(model)
bench.add_command(report)


@bench.command()
@click.argument("bundle", type=Path)
@click.option("--checkpoint", type=Path, help="The weights the bundle was made from; none for random weights.")
@click.option("--depth-weights", type=Path, help="Likewise, if the checkpoint holds the gates alone.")
@click.option("--semantic-weights", type=Path, help="Likewise.")
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Timed inferences of each.")
def eager(
    bundle: Path, checkpoint: Path | None, depth_weights: Path | None, semantic_weights: Path | None, runs: int
) -> None:
    """ONNX Runtime against eager PyTorch on the same CPU cores.

    \b
    briges bench eager build/briges-v2-b/engine
    """
    from statistics import median

    from briges.benchmarks.eager import compare_with_eager
    from briges.export.checkpoints import WeightFiles
    from briges.runtime.manifest import notices

    source = WeightFiles(checkpoint, depth_weights, semantic_weights) if checkpoint else None
    with progress() as on_step:
        result = compare_with_eager(bundle, source, runs=runs, on_step=on_step)
    warn(notices(result.manifest))
    for name, samples in (("ONNX Runtime", result.onnxruntime_ms), ("PyTorch eager", result.eager_ms)):
        low, high = min(samples), max(samples)
        click.echo(f"{name:13} median {median(samples):9.1f} ms   min {low:9.1f}   max {high:9.1f}   n {len(samples)}")
    click.echo(f"ratio {result.ratio:.2f}: ONNX Runtime is that many times as fast")
    click.echo(f"outputs apart {result.agreement.max_relative_error:.1e} relative")
    click.echo(result.conditions)
