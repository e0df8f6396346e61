"""`briges fetch`: public weight files into the cache, with their licence said aloud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from briges.runtime.main import FolderPath
from briges.runtime.terminal import download_bar

if TYPE_CHECKING:
    from briges.export.public_weights import PublicWeight


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--base-url", metavar="URL", help="A mirror: fetch URL/FILE instead of the authors' address.")
@click.option(
    "--out",
    metavar="DIR",
    type=FolderPath(file_okay=False),
    help="Folder for the files.  [default: ~/.cache/briges/weights]",
)
def fetch(names: tuple[str, ...], base_url: str | None, out: Path | None) -> None:
    """Fetch public weight files and verify them.

    \b
    What there is, with sizes and licences:
      briges fetch

    \b
    Both encoders of a BriGeS V2 Base model (the gates are yours to bring):
      briges fetch depth-anything-v2-b sam-vit-b

    \b
    From a mirror, which has FILE at https://mirror.example/weights/FILE:
      briges fetch sam-vit-l --base-url https://mirror.example/weights

    Run the same command again after a broken connection or Ctrl-C: it continues where it stopped. A file that is
    already there and right is not fetched again. For a machine without network, copy the cache folder to it.
    """
    from briges.export import download
    from briges.export.public_weights import find_weight

    weights = [find_weight(name) for name in dict.fromkeys(names)]  # all names first: a typo must not cost a download
    if not weights:
        _list_weights()
        return
    for weight in weights:
        with download_bar(weight.name, weight.bytes) as report:
            path = download.fetch(weight, base_url=base_url, folder=out, on_progress=report)
            report(weight.bytes)  # a file that was already there reports nothing itself
        click.echo(_summary(weight, path))  # after its bar, which would be torn by it


def _list_weights() -> None:
    from briges.export.public_weights import PUBLIC_WEIGHTS

    width = max(map(len, PUBLIC_WEIGHTS))
    click.echo(f"{'NAME':{width}}  {'SIZE':>8}  LICENCE")
    for weight in PUBLIC_WEIGHTS.values():
        click.echo(f"{weight.name:{width}}  {weight.bytes / 1e6:5,.0f} MB  {weight.licence}")
    click.echo("\nFetch with: briges fetch NAME...")


def _summary(weight: PublicWeight, path: Path) -> str:
    lines = [str(path), f"  licence: {weight.licence}"]
    if not weight.commercial:
        warning = "  NON-COMMERCIAL USE ONLY: every model and engine made from this file inherits that licence"
        lines.append(click.style(warning, fg="yellow", bold=True))
    if weight.encoder == "depth":
        lines.append(f"  use: briges export with --checkpoint (preset {weight.name}),")
        lines.append("       or with --depth-weights beside a BriGeS gate file")
    else:
        lines.append("  use: briges export with --semantic-weights beside a BriGeS gate file")
    return "\n".join(lines)
