"""`briges bench kernel`: the attention plugin's kernel against its rivals, on a GPU."""

from __future__ import annotations

from pathlib import Path

import click

from briges.runtime.main import requires


@requires("plugin", "torch", "triton")
@click.command()
@click.option("--quick", is_flag=True, help="Batch 1 and 5 samples, instead of batches 1 and 4 and 30 samples.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Append the results, raw samples included.")
def kernel(quick: bool, out: Path | None) -> None:
    """Check the attention kernel on this GPU against float64, then time it against PyTorch's ways to do the same.

    \b
    briges bench kernel --quick
    briges bench kernel --json kernel.jsonl

    Nothing is timed if one output is wrong: exit code 1. Needs PyTorch for CUDA, and cuda-python for the compiled PTX.
    """
    from briges.benchmarks.attention_kernels import benchmark
    from briges.benchmarks.records import append_row, require_results
    from briges.runtime.errors import BackendError

    if out is not None:
        require_results(out)
    if not benchmark(quick, lambda row: None if out is None else append_row(out, row)):
        raise BackendError(
            subject="briges bench kernel",
            came="an output is wrong, see above: nothing was timed",
            expected="errors within what is allowed",
            cure="report the lines above with the GPU's name; build with --attention native meanwhile",
        )
