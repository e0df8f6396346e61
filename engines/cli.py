"""`briges build`: parses, calls the builder, prints what came out."""

from __future__ import annotations

from pathlib import Path

import click

from briges.runtime.main import FolderPath, requires


@requires("cpu", "onnxruntime")
@click.command()
@click.argument("model_dir", type=Path)
@click.option("--out", type=FolderPath(), required=True, help="Bundle folder to write.")
@click.option(
    "--flavour", type=click.Choice(["onnxruntime"]), default="onnxruntime", show_default=True, help="What runs it."
)
def build(model_dir: Path, out: Path, flavour: str) -> None:
    """Turn an exported model into an engine bundle.

    \b
    briges build build/depth-anything-v2-s/model --out build/depth-anything-v2-s/engine
    """
    from briges.engines.bundle import build_onnxruntime_bundle
    from briges.runtime.terminal import warn

    manifest = build_onnxruntime_bundle(model_dir, out)
    warn(manifest.model)
    megabytes = sum(file.size_bytes for file in manifest.files.values()) / 1e6
    click.echo(f"{out}: {manifest.model.preset} for {flavour} {manifest.flavour_version}, {megabytes:.0f} MB")
