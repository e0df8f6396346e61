"""`briges bench matrix`: parses, runs the cases, prints what became of each."""

from __future__ import annotations

from pathlib import Path

import click

from briges.runtime.main import requires


@requires("bench", "cv2", "PIL", "yaml")
@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of results and bundles.")
def matrix(spec: Path, out: Path) -> None:
    """Export, build and time every combination that the YAML file SPEC lists; a second run measures what is missing.

    \b
    presets: [depth-anything-v2-s, briges-v2-b]
    sizes: [518x518, 518x686]          # the preset's own, if left out
    precisions: [fp32, fp16]           # [fp16]
    attention: [native, plain]         # [native]; also plugin
    batches: [1]
    backends: [onnxruntime, torch-eager]   # also tensorrt, tensorrt-rtx, torch-compile
    checkpoint: null                   # random weights
    latency: {duration-s: 5}           # options of `briges bench latency`

    \b
    briges bench matrix matrix.yaml --out results
    briges bench report results/*.jsonl --out report.html

    Each case is measured in a process of its own and has a file of its own. One that fails, as a bundle whose hash does
    not match, becomes a row with the reason; the others go on, and the exit code is 1.
    """
    from briges.benchmarks.matrix import run_matrix
    from briges.benchmarks.matrix_spec import read_matrix
    from briges.runtime.errors import ResultError
    from briges.runtime.terminal import progress, warnings_shown

    request = read_matrix(spec)
    failed, count = [], 0
    with warnings_shown(), progress() as on_step:
        for outcome in run_matrix(request, out, on_step):
            count += 1
            state = f"NOT MEASURED: {outcome.reason}" if outcome.reason else "kept" if outcome.reused else "measured"
            click.echo(f"{outcome.case.name}: {state}")
            failed += [outcome] if outcome.reason else []
    if failed:
        raise ResultError(
            subject=f"matrix {spec}",
            came=f"{len(failed)} of {count} cases were not measured",
            expected="every one",
            cure="mend what the reasons above name, and run the same command again: the others are kept",
        )
