"""The options of `briges build` that go into an engine or a bundle, in the order they are shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from briges.runtime.main import FolderPath, with_options

Command = TypeVar("Command", bound=Callable[..., Any])

_ATTENTIONS = click.Choice(["auto", "plugin", "native", "plain", "compare"])


def attention_options(command: Command) -> Command:
    """--attention, --plugin, --embed-plugin."""
    options = (
        click.option(
            "--attention",
            type=_ATTENTIONS,
            default="auto",
            show_default=True,
            help="auto: the plugin where it can be had, else native; native: as TensorRT fuses it by itself; plain: "
            "the literal form; compare: a bundle of each below OUT, and which one to take.",
        ),
        click.option(
            "--plugin",
            "plugin_folder",
            type=FolderPath(),
            help="Folder of the plugin's library, built there if need be.  [default: build/plugin]",
        ),
        click.option("--embed-plugin", is_flag=True, help="Store the plugin's library inside each engine too."),
    )
    return with_options(command, options)


def engine_options(command: Command) -> Command:
    """TensorRT's own; their names are fields of ``EngineSpec``."""
    options = (
        click.option("--workspace-bytes", type=int, help="Most device memory one layer may use for scratch."),
        click.option(
            "--optimization-level", type=int, help="0, quick build, to 5, fast engine.  [default: the flavour's, 3]"
        ),
        click.option(
            "--timing-cache", type=Path, help="File that keeps kernel timings for the next build. TensorRT alone."
        ),
        click.option(
            "--compute-capability",
            "compute_capabilities",
            multiple=True,
            help="GPU to compile for, such as 8.6; repeat it for several. TensorRT-RTX alone.",
        ),
        click.option(
            "--hardware-compatible", is_flag=True, help="One engine for all GPUs from Ampere on. TensorRT alone."
        ),
        click.option(
            "--version-compatible", is_flag=True, help="Loads in later TensorRT versions too. TensorRT alone."
        ),
        click.option("--strip-weights", is_flag=True, help="Store the engine without weights. Needs a GPU to build."),
    )
    return with_options(command, options)
