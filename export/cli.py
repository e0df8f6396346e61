"""`briges export`: parses, calls ``export_model``, prints what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from briges.export.presets import PRESETS
from briges.runtime.main import FolderPath, requires
from briges.runtime.terminal import progress, warn, warnings_shown

_SEED = click.IntRange(0, 2**32 - 1)  # past 64 bits torch's generator has no answer but a crash


@requires("export", "torch", "onnx", "onnxscript", "safetensors", "onnxruntime", "cv2", "PIL")
@click.command(epilog="Presets: " + ", ".join(PRESETS))
@click.argument("preset")
@click.option("--checkpoint", type=Path, help="Weights: .pth, .pt or .safetensors, the authors' or the public ones.")
@click.option("--depth-weights", type=Path, help="Public Depth Anything file, for a checkpoint of the gates alone.")
@click.option("--semantic-weights", type=Path, help="Public SAM file, for a checkpoint of the gates alone.")
@click.option("--random-weights", type=_SEED, metavar="SEED", help="No checkpoint: right for latency, no depth.")
@click.option("--height", type=int, help="Input height in pixels, a multiple of 14.  [default: 518]")
@click.option("--width", type=int, help="Input width in pixels, a multiple of 14.  [default: 518]")
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
@click.option("--precision", type=click.Choice(["fp32"]), default="fp32", show_default=True, help="Type of the graph.")
@click.option("--no-verify", is_flag=True, help="Skip the check against PyTorch; recorded, and told at every use.")
@click.option("--out", type=FolderPath(), help="Model folder to write.  [default: build/PRESET/model]")
def export(
    preset: str,
    checkpoint: Path | None,
    depth_weights: Path | None,
    semantic_weights: Path | None,
    random_weights: int | None,
    height: int | None,
    width: int | None,
    batch: int,
    input_dtype: Literal["uint8", "float32"],
    temperature: str,
    taps: str | None,
    precision: Literal["fp32"],
    no_verify: bool,
    out: Path | None,
) -> None:
    """Turn a checkpoint into ONNX, checked against PyTorch on real photographs.

    \b
    briges export depth-anything-v2-s --checkpoint depth_anything_v2_vits.pth
    briges export briges-v2-b --checkpoint BriGeS.pth --height 518 --width 686
    briges export briges-v2-b --checkpoint gates.pth \\
        --depth-weights depth_anything_v2_vitb.pth --semantic-weights sam_vit_b_01ec64.pth
    briges export briges-v2-b --random-weights 0         (latency only)
    """
    from briges.export.assemble import parse_taps
    from briges.export.checkpoints import choose_source
    from briges.export.exporter import ExportRequest, export_model

    request = ExportRequest(
        preset=preset,
        source=choose_source(checkpoint, depth_weights, semantic_weights, random_weights),
        height_px=height,
        width_px=width,
        batch=batch,
        input_dtype=input_dtype,
        temperature=temperature,
        taps=parse_taps(taps),
        precision=precision,
        verify=not no_verify,
    )
    folder = out or Path("build") / preset / "model"
    with warnings_shown(), progress() as on_step:
        spec = export_model(request, folder, on_step)
    warn(spec)
    size = f"{spec.image.height_px}x{spec.image.width_px}"
    click.echo(f"{folder}: {spec.preset}, {size}, {spec.precision}, opset {spec.opset}, {spec.weights.licence}")
    if spec.parity:
        error, limit = spec.parity.max_relative_error, spec.parity.threshold
        click.echo(
            f"PyTorch against ONNX Runtime on {spec.parity.photographs} photographs: relative error {error:.1e}, "
            f"{error / limit:.0%} of the {limit:.0e} allowed"
        )
