"""`briges inspect`: what a bundle or a model folder is."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--decisions", is_flag=True, help="List the precision of every part of the network.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest, once it is verified, as JSON.")
def inspect(folder: Path, decisions: bool, as_json: bool) -> None:
    """Show what an engine BUNDLE is, how it was checked, and whether this machine can run it.

    A model folder is shown as well. Every file is compared with its sha256 first, as before an inference.
    """
    from briges.runtime import manifest, sidecar
    from briges.runtime.compatibility import this_machine
    from briges.runtime.inspection import describe_bundle, describe_model, read_folder
    from briges.runtime.records import to_json
    from briges.runtime.tables import print_sections
    from briges.runtime.terminal import warn

    found = read_folder(folder)
    warn(sidecar.notices(found) if isinstance(found, sidecar.ModelSpec) else manifest.notices(found))
    if as_json:
        click.echo(to_json(found), nl=False)
    elif isinstance(found, sidecar.ModelSpec):
        print_sections(describe_model(found, folder, all_decisions=decisions))
    else:
        print_sections(describe_bundle(found, this_machine(found.flavour), all_decisions=decisions))
