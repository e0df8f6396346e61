"""`briges bench latency`: parses, measures each bundle with each backend, prints and appends the rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from briges.export.options import SizeParam
from briges.runtime.main import command_line, requires

if TYPE_CHECKING:
    from briges.benchmarks.rows import LatencyRow

BACKENDS = ("engine", "torch-eager", "torch-compile")


@requires("bench", "cv2", "PIL")
@click.command()
@click.argument("bundles", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="BUNDLE...")
@click.option("--frames", type=click.Path(path_type=Path), help="Image, folder or video.  [default: our photographs]")
@click.option("--frame-size", type=SizeParam(), help="Resize frames to it.  [default: 480x640 for our photographs]")
@click.option(
    "--backend",
    "backends",
    type=click.Choice(BACKENDS),
    multiple=True,
    default=("engine",),
    show_default=True,
    help="What runs the model; several in one run. PyTorch needs the extra [export].",
)
@click.option("--batch", type=click.IntRange(min=1), help="Images per request.  [default: the engine's batch]")
@click.option("--warmup-s", type=click.FloatRange(min=0), default=2, show_default=True, help="Untimed before it.")
@click.option("--duration-s", type=click.FloatRange(min=0, min_open=True), default=10, show_default=True)
@click.option("--min-iterations", type=click.IntRange(min=1), default=12, show_default=True)
@click.option("--streams", type=click.IntRange(min=1), default=1, show_default=True, help="Estimators at once.")
@click.option("--rate", "rate_fps", type=click.FloatRange(min=0, min_open=True), help="A camera's frames per second.")
@click.option("--soak", "soak_min", type=click.FloatRange(min=0, min_open=True), help="Run this many minutes.")
@click.option("--cuda-graph/--no-cuda-graph", default=None, help="Insist, or time each engine.  [default: if it works]")
@click.option("--include-copies/--no-copies", "copies", default=None, help="Photographs in host or in device memory.")
@click.option("--semantic-interval", type=click.IntRange(min=1), default=1, show_default=True, metavar="N")
@click.option("--temperature", type=click.FloatRange(min=0, min_open=True), help="For a dynamic temperature.")
@click.option("--device", type=click.IntRange(min=0), default=0, show_default=True, help="Number of the GPU.")
@click.option("--provider", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", help="Of ONNX Runtime.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads of one inference.")
@click.option("--lock-clocks", is_flag=True, help="Hold the GPU's highest clock meanwhile; needs rights.")
@click.option("--checkpoint", type=Path, help="For PyTorch: the weights of the bundle; none for random ones.")
@click.option("--depth-weights", type=Path, help="Likewise, if the checkpoint holds the gates alone.")
@click.option("--semantic-weights", type=Path, help="Likewise.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Append the results, raw samples included.")
def latency(bundles: tuple[Path, ...], backends: tuple[str, ...], out: Path | None, **options: Any) -> None:
    """Time requests to each BUNDLE, from call to answer, after its output was compared with the gate's reference.

    \b
    A bundle, with the frames of a camera's recording:
      briges bench latency build/engine --frames street.avi --json results.jsonl

    \b
    The same beside PyTorch, in one run:
      briges bench latency build/engine --backend engine --backend torch-eager

    \b
    A camera at 30 frames per second: missed deadlines and the queue:
      briges bench latency build/engine --rate 30

    \b
    Half an hour, to see whether the device gets hot and slow:
      briges bench latency build/engine --soak 30 --json soak.jsonl

    Runs for the duration and the iterations; a single stream then until its median is stable within 1 %, up to five
    times as long, and a median that never was is marked, as is a machine on which others were busy. Percentiles are
    nearest rank. Memory is of the whole process, and names what was there before: `briges bench matrix` gives each
    backend its own. Look at results with `briges bench report`.
    """
    from briges.benchmarks.latency_run import make_request, measure_all
    from briges.benchmarks.latency_text import describe, summary
    from briges.benchmarks.records import append_row, require_results
    from briges.runtime.tables import print_sections
    from briges.runtime.terminal import detailed_progress, warn, warnings_shown

    request = make_request(bundles, backends, command_line(), options)
    if out is not None:
        require_results(out)
    rows: list[LatencyRow] = []
    try:
        with warnings_shown(), detailed_progress() as (on_step, on_detail):
            for row in measure_all(request, on_step, on_detail):
                rows.append(row)
                if out is not None:
                    append_row(out, row)
                    click.echo(f"appended to {out}: {row.subject.label}", err=True)
                if row.interrupted:
                    raise KeyboardInterrupt
    finally:  # what was measured is told whatever came after it
        print_sections([*map(describe, rows), summary(rows)])
        warn(dict.fromkeys(notice for row in rows for notice in row.subject.notices))
