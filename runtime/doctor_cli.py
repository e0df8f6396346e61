"""`briges doctor`: what this machine can do, as a table or as JSON."""

from __future__ import annotations

import click

_TITLES = {
    "machine": "This machine",
    "gpu": "NVIDIA GPU",
    "jetson": "Jetson",
    "export": "Export: checkpoint -> ONNX",
    "build": "Build: ONNX -> engine",
    "run": "Run: engine -> depth",
}
_MARKS = {True: "yes", False: "no", None: "-"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The same as JSON, for a bug report.")
def doctor(as_json: bool) -> None:
    """Show what this machine can export, build and run, and the cure for each thing missing.

    Every package is really imported, in a process of its own, which takes some seconds. The exit code is 0 if this
    machine can run the bundles of at least one flavour, and 1 if it can run none.
    """
    from briges.runtime.doctor import diagnose
    from briges.runtime.facts import collect_facts
    from briges.runtime.records import to_json
    from briges.runtime.tables import Section, print_sections

    diagnosis = diagnose(collect_facts())
    if as_json:
        click.echo(to_json(diagnosis), nl=False)
    else:
        print_sections(
            Section(
                title,
                tuple(
                    (_MARKS[item.ok], item.name, item.found + (f"\n-> {item.cure}" if item.cure else ""))
                    for item in diagnosis.findings
                    if item.part == part
                ),
            )
            for part, title in _TITLES.items()
        )
    if not diagnosis.runs:
        raise click.exceptions.Exit(1)
