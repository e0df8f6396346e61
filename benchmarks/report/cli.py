"""`briges bench report`: results as one page, and as tables in a README."""

from __future__ import annotations

from pathlib import Path

import click

from briges.runtime.main import requires


@requires("bench", "jinja2")
@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write the page, named .html.")
@click.option(
    "--markdown", type=click.Path(path_type=Path), help="Write the tables into this file, between its markers."
)
@click.option("--check", is_flag=True, help="Leave that file as it is; exit code 1 if its tables are not up to date.")
def report(results: tuple[Path, ...], out: Path | None, markdown: Path | None, check: bool) -> None:
    """Make one page of RESULTS, the JSON Lines that `briges bench` and `briges eval` write. It needs no network.

    \b
    Everything that was measured, to look at in a browser:
      briges bench report results/*.jsonl --out report.html

    \b
    The table of cpu.jsonl in a README, between the lines
    <!-- briges:results cpu --> and <!-- /briges:results -->:
      briges bench report results/cpu.jsonl --markdown README.md

    \b
    Whether that table is still what the results say, for CI:
      briges bench report results/cpu.jsonl --markdown README.md --check

    A marker names the file whose rows stand below it, without .jsonl; those of other files are left alone.
    """
    from briges.benchmarks.records import read_rows
    from briges.benchmarks.report.markdown import check_tables, write_tables
    from briges.benchmarks.report.page import render_page
    from briges.runtime.errors import UsageError
    from briges.runtime.files import write_text
    from briges.runtime.terminal import warnings_shown

    if (out is None and markdown is None) or (check and markdown is None):
        raise UsageError(
            subject="briges bench report",
            came="--check without --markdown" if check else "neither --out nor --markdown",
            expected="what to make of the results",
            cure="give --out report.html, or --markdown README.md, or both",
        )
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            subject=f"--out {out}",
            came="not named .html" if out.suffix else "it has no suffix",
            expected="a page: results given by a slip would be overwritten",
            cure="name it such as report.html",
        )
    with warnings_shown():
        rows = {path: read_rows([path]) for path in dict.fromkeys(results)}
    if out is not None:
        write_text(out, render_page([row for every in rows.values() for row in every]))
        click.echo(f"page in {out}")
    if markdown is not None:
        named = (check_tables if check else write_tables)(markdown, rows)
        click.echo(f"tables in {markdown} {'up to date' if check else 'written'}: {', '.join(named)}")
