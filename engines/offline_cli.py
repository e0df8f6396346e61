"""`briges bundle-offline`: what a device without a network needs, in one folder."""

from __future__ import annotations

from pathlib import Path

import click

from briges.runtime.main import FolderPath, requires
from briges.runtime.terminal import detailed_progress

_LINE = 60


@requires("dev", "build", "packaging", "onnx")
@click.command()
@click.option("--target", required=True, help="jetson-jp6, jetson-jp7 or linux-x86_64.")
@click.option("--out", type=FolderPath(), required=True, help="Folder to write, or to replace if it is one of ours.")
@click.option(
    "--include",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DIR",
    help="Model folder or engine bundle to bring along, verified first; repeat it for several.",
)
def bundle_offline(target: str, out: Path, include: tuple[Path, ...]) -> None:
    """Write a folder that installs briges-trt on another machine without a network.

    \b
    briges plugin
    briges bundle-offline --target jetson-jp6 --out offline --include build/briges-v2-b/model
    (copy the folder there)
    sh offline/install.sh

    In it are the wheels for that machine with their hashes, the attention plugin's kernels if build/plugin is there,
    and an installer that checks everything first. TensorRT is not: it is the system's. Run it in the root of a source
    checkout, where pip reaches its index.
    """
    from briges.engines import offline
    from briges.engines.watcher import Watcher

    with detailed_progress() as (on_step, on_detail):
        watcher = Watcher(on_step, lambda phase, done, total: on_detail(_detail(phase, done, total)))
        summary = offline.bundle_offline(target, out, include, Path.cwd(), watcher)
    click.echo(summary)


def _detail(phase: str, done: int, total: int) -> str:
    # What pip says has no count, and may be longer than the terminal is wide.
    return f"{phase} {done}/{total}" if total else phase[:_LINE]
