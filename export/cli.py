"""`briges export`: parses, calls ``export_model``, prints what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import click

from briges.export.options import attention_options, choose_sizes, describe_export, size_options, weight_options
from briges.export.presets import PRESETS
from briges.runtime.agreement import Precision
from briges.runtime.main import FolderPath, requires
from briges.runtime.sidecar import Lowering, Scope, notices
from briges.runtime.terminal import progress, warn, warnings_shown

_PRECISIONS = click.Choice(get_args(Precision))
_SEED = click.IntRange(0, 2**32 - 1)  # past 64 bits torch's generator has no answer but a crash


@requires("export", "torch", "onnx", "onnxscript", "safetensors", "onnxruntime", "cv2", "PIL")
@click.command(epilog="Presets: " + ", ".join(PRESETS))
@click.argument("preset")
@weight_options
@click.option("--random-weights", type=_SEED, metavar="SEED", help="No checkpoint: right for latency, no depth.")
@size_options
@click.option("--batch", default=1, show_default=True, help="Images per inference.")
@click.option(
    "--input",
    "input_dtype",
    type=click.Choice(["uint8", "float32"]),
    default="uint8",
    show_default=True,
    help="uint8 [B,H,W,3] RGB, normalised inside the graph; or float32 [B,3,H,W], normalised by you.",
)
@click.option(
    "--temperature",
    default="1.0",
    show_default=True,
    help="Attention temperature of the gates: 1.0 as trained; 3.0 is most used in the authors' code; "
    "cross=3,self=1 for one each; dynamic makes it an input of the graph.",
)
@click.option("--taps", help="Encoder blocks to read, as 8,9,10,11, if the checkpoint was trained with other ones.")
@click.option("--precision", type=_PRECISIONS, default="fp16", show_default=True, help="Where it does no harm.")
@attention_options
@click.option("--no-verify", is_flag=True, help="Skip the check against PyTorch; recorded, and told at every use.")
@click.option("--force", is_flag=True, help="Export even what is up to date.")
@click.option("--out", type=FolderPath(), help="Model folder to write.  [default: build/PRESET/model]")
def export(
    preset: str,
    checkpoint: Path | None,
    depth_weights: Path | None,
    semantic_weights: Path | None,
    random_weights: int | None,
    height: int | None,
    width: int | None,
    sizes: tuple[tuple[int, int], ...],
    batch: int,
    input_dtype: Literal["uint8", "float32"],
    temperature: str,
    taps: str | None,
    precision: Precision,
    attention: Lowering,
    scope: Scope,
    no_verify: bool,
    force: bool,
    out: Path | None,
) -> None:
    """Turn a checkpoint into ONNX, checked against PyTorch on real photographs.

    \b
    briges export depth-anything-v2-s --checkpoint depth_anything_v2_vits.pth
    briges export briges-v2-b --checkpoint BriGeS.pth --size 518x686 --size 518x924
    briges export briges-v2-b --checkpoint gates.pth \\
        --depth-weights depth_anything_v2_vitb.pth --semantic-weights sam_vit_b_01ec64.pth
    briges export briges-v2-b --random-weights 0         (latency only)
    """
    from briges.export.assemble import parse_taps
    from briges.export.checkpoints import choose_source
    from briges.export.existing import existing_model
    from briges.export.exporter import ExportRequest, export_model

    request = ExportRequest(
        preset=preset,
        source=choose_source(checkpoint, depth_weights, semantic_weights, random_weights),
        sizes=choose_sizes(preset, height, width, sizes),
        batch=batch,
        input_dtype=input_dtype,
        temperature=temperature,
        taps=parse_taps(taps),
        precision=precision,
        attention=attention,
        scope=scope,
        verify=not no_verify,
    )
    folder = out or Path("build") / preset / "model"
    with warnings_shown(), progress() as on_step:
        existing = None if force else existing_model(request, folder)
        spec = existing or export_model(request, folder, on_step)
    warn(notices(spec))
    for line in (*(["up to date"] if existing else []), *describe_export(spec)):
        click.echo(f"{folder}: {line}")
