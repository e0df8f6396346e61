"""`briges build`: parses, calls the builder, prints what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast, get_args

import click

from briges.engines.options import attention_options, engine_options
from briges.runtime.errors import unknown_name
from briges.runtime.main import FolderPath, requires
from briges.runtime.manifest import Flavour
from briges.runtime.terminal import detailed_progress, warn

_FLAVOURS = ("auto", *get_args(Flavour))


@requires("build", "onnx", "onnxruntime", "filelock", "cv2", "PIL")
@click.command()
@click.argument("model_dir", type=Path)
@click.option("--out", type=FolderPath(), required=True, help="Bundle folder to write.")
@click.option("--flavour", metavar=f"[{'|'.join(_FLAVOURS)}]", default="auto", show_default=True, help="What runs it.")
@attention_options
@click.option("--split", is_flag=True, help="Three engines: geometry encoder, semantic encoder, gates with head.")
@engine_options
@click.option(
    "--repair",
    is_flag=False,
    flag_value="fp32",
    type=click.Choice(["fp32", "bf16"]),
    help="If the numeric gate fails, find the parts that lose accuracy and put them into --repair=fp32, or =bf16. "
    "--repair alone, at the end of the line, means fp32.",
)
@click.option("--allow-unverified", is_flag=True, help="Keep a bundle that fails the gate; it says so at every use.")
@click.option("--force", is_flag=True, help="Build even what is up to date.")
@click.option(
    "--log-file",
    type=Path,
    help="Where TensorRT's log goes.  [default: OUT.log]",
)
def build(
    model_dir: Path,
    out: Path,
    flavour: str,
    split: bool,
    repair: Literal["fp32", "bf16"] | None,
    allow_unverified: bool,
    force: bool,
    log_file: Path | None,
    attention: Literal["auto", "plugin", "native", "plain", "compare"],
    plugin_folder: Path | None,
    timing_cache: Path | None,
    **options: Any,
) -> None:
    """Turn an exported model into an engine bundle, and compare its depth with fp32 PyTorch's on photographs.

    \b
    briges build build/briges-v2-b/model --out build/briges-v2-b/engine
    briges build MODEL_DIR --out BUNDLE --flavour onnxruntime            (runs on a CPU)
    briges build MODEL_DIR --out BUNDLE --flavour tensorrt-rtx --compute-capability 8.6 --compute-capability 8.9
    briges build MODEL_DIR --out BUNDLE --split
    briges build MODEL_DIR --out FOLDER --attention compare
    """
    from briges.engines.build import build_bundle
    from briges.engines.compare import compare
    from briges.engines.plugin.record import DEFAULT_FOLDER
    from briges.engines.report import describe_build, describe_comparison
    from briges.engines.request import BuildRequest
    from briges.engines.spec import EngineSpec
    from briges.engines.watcher import Watcher
    from briges.runtime.compatibility import choose_flavour
    from briges.runtime.manifest import notices

    if flavour not in _FLAVOURS:
        raise unknown_name("--flavour", flavour, _FLAVOURS)
    chosen = cast("Flavour", flavour)
    if flavour == "auto":
        chosen, reason = choose_flavour()
        click.echo(f"--flavour auto: {chosen}. {reason}", err=True)
    spec = EngineSpec(flavour=chosen, timing_cache=str(timing_cache) if timing_cache else None, **options)
    asked = "auto" if attention == "compare" else attention
    folder = plugin_folder or DEFAULT_FOLDER
    request = BuildRequest(spec, split, repair, allow_unverified, force, log_file, asked, folder)
    with detailed_progress() as (on_step, on_detail):
        watcher = Watcher(on_step, lambda phase, done, total: on_detail(f"{phase} {done}/{total}"))
        if attention == "compare":
            comparison = compare(model_dir, out, request, watcher)
        else:
            built = build_bundle(model_dir, out, request, watcher)
    if attention == "compare":
        click.echo(describe_comparison(comparison))
        return
    fell_back = built.manifest.attention.fell_back
    warn([*notices(built.manifest), *([f"NATIVE ATTENTION, not the plugin's. {fell_back}"] if fell_back else [])])
    for line in describe_build(out, built):
        click.echo(line)
