"""`briges plugin`: builds the attention plugin's library, prints what came out."""

from __future__ import annotations

from pathlib import Path

import click

from briges.runtime.errors import unknown_name
from briges.runtime.main import FolderPath, requires
from briges.runtime.terminal import detailed_progress


@requires("build", "onnx")
@click.command()
@click.option("--out", type=FolderPath(), help="Folder to write.  [default: build/plugin, where `briges build` looks]")
@click.option(
    "--compute-capability",
    "capabilities",
    multiple=True,
    help="GPU to compile kernels for, such as 8.7 for Orin; repeat it for several.  [default: all]",
)
def plugin(out: Path | None, capabilities: tuple[str, ...]) -> None:
    """Build the TensorRT plugin that computes temperature-scaled attention. Needs no GPU.

    \b
    briges plugin                              (kernels for every supported GPU: a minute or two)
    briges plugin --compute-capability 8.7     (for a Jetson Orin alone)

    `briges build` does this by itself where it needs the plugin. Kernels are the same on every machine: where Triton
    is not installed, copy build/plugin there and run this again; it compiles the C++ part alone.
    """
    from briges.engines.plugin.build_library import ready_plugin
    from briges.engines.plugin.record import DEFAULT_FOLDER, LIBRARY_FILE
    from briges.engines.plugin.variants import PTX_VERSIONS
    from briges.engines.watcher import Watcher

    for capability in capabilities:
        if capability not in PTX_VERSIONS:
            raise unknown_name("--compute-capability", capability, PTX_VERSIONS)
    folder = out or DEFAULT_FOLDER
    with detailed_progress() as (on_step, on_detail):
        watcher = Watcher(on_step, lambda phase, done, total: on_detail(f"{phase} {done}/{total}"))
        built = ready_plugin(folder, watcher, tuple(dict.fromkeys(capabilities)) or tuple(PTX_VERSIONS))
    library = folder / LIBRARY_FILE
    click.echo(
        f"{library}: {library.stat().st_size / 1e6:.1f} MB, {len(built.kernels)} kernels by Triton {built.triton}"
    )
    click.echo(f"  compute capabilities {', '.join(built.compute_capabilities)}")
    click.echo(f"  for {built.platform}, compiled with the headers of TensorRT {built.tensorrt_headers}")
    click.echo(f"  registers, spills, shared memory and matrix instructions: {folder / 'kernels.md'}")
