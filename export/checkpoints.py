"""Weight files to the weights of one preset: complete, of the right shape and finite, or refused with the reason."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from briges.export.checkpoint_file import read_tensors
from briges.export.layouts import Detected, Layout, detect, is_dead, refused_variant, to_internal, to_layout
from briges.export.model import DepthModel
from briges.export.presets import PRESETS, Preset
from briges.export.public_weights import refused_reason, weight_by_sha256
from briges.runtime.errors import CheckpointError, UsageError
from briges.runtime.files import sha256_of
from briges.runtime.sidecar import SourceFile, Weights

Role = Literal["checkpoint", "depth-weights", "semantic-weights"]

logger = logging.getLogger("briges")

_LISTED = 12  # names shown of each kind of wrong key
_TAU = "attn.tau_param"
_TAU_FLOOR = 1e-6  # learnable temperatures are softplus(tau_param) + this; wodon326/SEEDepth


@dataclass(frozen=True)
class WeightFiles:
    """The files a model is made from. The last two complete a checkpoint that holds the gates alone."""

    checkpoint: Path
    depth_weights: Path | None = None
    semantic_weights: Path | None = None


def choose_source(
    checkpoint: Path | None, depth_weights: Path | None, semantic_weights: Path | None, seed: int | None
) -> WeightFiles | int:
    """Weight files or the seed of random weights, whichever was asked for. Raises UsageError for both or neither."""
    if (checkpoint is None) == (seed is None):
        raise UsageError(
            subject="weights",
            came="both --checkpoint and --random-weights" if checkpoint else "no weights",
            expected="--checkpoint FILE or --random-weights SEED",
            cure="`briges fetch` downloads public weights; `--random-weights 0` is enough to measure latency",
        )
    if checkpoint is None and (depth_weights or semantic_weights):
        raise UsageError(
            subject="--depth-weights and --semantic-weights",
            came="given with --random-weights, which would leave them unread",
            expected="them only beside a checkpoint that holds the gates alone",
            cure="leave them out, or give --checkpoint FILE",
        )
    return WeightFiles(checkpoint, depth_weights, semantic_weights) if checkpoint else int(seed or 0)


@dataclass(frozen=True)
class LoadedWeights:
    """Weights in our key names, float32, complete for ``preset`` (refined by what the checkpoint turned out to be).

    ``learned_temperatures``: (cross, self) of each gate, empty where the checkpoint has none.
    """

    preset: Preset
    state: dict[str, Tensor]
    learned_temperatures: tuple[tuple[float, float], ...]
    origin: Weights


def load_weights(preset: Preset, files: WeightFiles) -> LoadedWeights:
    """Read, recognise, merge and check ``files`` for ``preset``.

    Raises CheckpointError naming every key that is missing, unexpected, of the wrong shape or not finite, and
    UsageError if the combination of files makes no sense.
    """
    state, source, found = _read(files.checkpoint, "checkpoint")
    _check_fits(preset, found, source, files.checkpoint)
    sources = [source]
    if found.part == "gates":
        companions: dict[Role, Path | None] = {
            "depth-weights": files.depth_weights,
            "semantic-weights": files.semantic_weights,
        }
        for role, path in companions.items():
            extra, extra_source = _read_companion(preset, path, role, files.checkpoint)
            state = extra | state  # what the checkpoint itself holds was trained with its gates
            sources.append(extra_source)
    elif files.depth_weights or files.semantic_weights:
        raise UsageError(
            subject="--depth-weights and --semantic-weights",
            came=f"given with {files.checkpoint.name}, which is complete",
            expected="them only beside a checkpoint that holds the gates alone",
            cure="leave them out",
        )
    preset = dataclasses.replace(preset, aligner=found.aligner, gate_heads=found.gate_heads or preset.gate_heads)
    learned = _take_temperatures(state, found.layout)
    _check_keys(preset, state, files.checkpoint, found.layout)
    licence = preset.licence if source.known_as else f"your checkpoint's own, on top of {preset.licence}"
    origin = Weights(files=tuple(sources), random_seed=None, layout=found.layout, licence=licence)
    return LoadedWeights(preset, _to_float32(state, files.checkpoint, found.layout), learned, origin)


def _read(path: Path, role: Role) -> tuple[dict[str, Tensor], SourceFile, Detected]:
    """Tensors in our names, where they came from, and what they are."""
    tensors = read_tensors(path)
    sha256 = sha256_of(path)
    refusal = refused_reason(sha256) or refused_variant(list(tensors))
    found = detect({key: tuple(value.shape) for key, value in tensors.items()})
    if refusal or found is None:
        raise CheckpointError(
            subject=f"weight file {path}",
            came=f"is {refusal}" if refusal else f"has keys of no known model, such as {next(iter(tensors))!r}",
            expected="a BriGeS checkpoint, an original Depth Anything file or an original SAM file",
            cure="choose one of those; `briges fetch` lists the public ones",
        )
    known = weight_by_sha256(sha256)
    if known is None and found.part in ("depth", "semantic"):
        # V1, V2 and fine-tuned files of one size have the same keys: the wrong one loads, and gives wrong depth.
        logger.warning("%s is none of the public files by its checksum: make sure it fits the preset", path)
    source = SourceFile(role, path.name, sha256, known.name if known else None)
    return _rename(tensors, found, path), source, found


def _rename(tensors: Mapping[str, Tensor], found: Detected, path: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if is_dead(key):
            continue
        # A key the layout does not have keeps its name, so that the check of keys can list it.
        name = to_internal(key, found.layout) or key
        if name in state:
            raise CheckpointError(
                subject=f"weight file {path}",
                came=f"holds {_outer(name, found.layout)} twice, once as {key}",
                expected="every weight once",
                cure="save one model's state dict",
            )
        state[name] = value
    return state


def _read_companion(preset: Preset, path: Path | None, role: Role, gates: Path) -> tuple[dict[str, Tensor], SourceFile]:
    """Read the public file that completes a gate-only checkpoint."""
    expected = "depth" if role == "depth-weights" else "semantic"
    if path is None:
        raise UsageError(
            subject=f"checkpoint {gates}",
            came="holds the Bridging Gates alone",
            expected="the public encoder files beside it",
            cure=f"add --{role} FILE; `briges fetch` downloads the public files",
        )
    state, source, found = _read(path, role)
    # Both versions of Depth Anything have the same keys and shapes: only the checksum tells them apart.
    fits = source.known_as in (None, f"depth-anything-{preset.layout}-{preset.name[-1]}") or expected == "semantic"
    if found.part != expected or found.width != preset.geometry.width or not fits:
        raise CheckpointError(
            subject=f"--{role} {path}",
            came=_what(found) + _known(source),
            expected=f"the {expected} encoder of width {preset.geometry.width} that {preset.name} is built on",
            cure="`briges fetch` lists the public files",
        )
    return state, source


def _check_fits(preset: Preset, found: Detected, source: SourceFile, path: Path) -> None:
    """Refuse a checkpoint of another network than the preset, naming the preset that fits."""
    parts = ("full", "gates") if preset.gated else ("depth",)
    version_known = source.known_as.removesuffix(source.known_as[-2:]) if source.known_as else None
    same_version = found.layout == preset.layout if preset.gated else version_known in (None, preset.name[:-2])
    if found.part in parts and found.width == preset.geometry.width and same_version:
        return
    fitting = [
        other.name
        for other in PRESETS.values()
        if other.geometry.width == found.width
        and other.gated == (found.part in ("full", "gates"))
        and (other.layout == found.layout if other.gated else source.known_as in (None, other.name))
        and found.part != "semantic"
    ]
    raise CheckpointError(
        subject=f"checkpoint {path}",
        came=_what(found) + _known(source),
        expected=f"weights of preset {preset.name}",
        cure=f"use preset {' or '.join(fitting)}" if fitting else "give the checkpoint that belongs to the preset",
    )


def _what(found: Detected) -> str:
    kind = {
        "full": f"a BriGeS checkpoint in {found.layout.upper()} layout",
        "gates": f"Bridging Gates alone in {found.layout.upper()} layout",
        "depth": "a plain Depth Anything model",
        "semantic": "a SAM model",
    }[found.part]
    return f"{kind}, width {found.width}"


def _known(source: SourceFile) -> str:
    return f", the public file {source.known_as}" if source.known_as else ""


def _take_temperatures(state: dict[str, Tensor], layout: Layout) -> tuple[tuple[float, float], ...]:
    """Remove the learned temperatures from ``state`` and evaluate them."""
    if not any(key.endswith(_TAU) for key in state):
        return ()

    def take(gate: int, block: str) -> float:
        name = f"gates.{gate}.{block}.{_TAU}"
        raw = state.pop(name, None)
        if raw is None or raw.numel() != 1 or not torch.isfinite(raw).all():
            raise CheckpointError(
                subject="learned temperatures",
                came=f"{_outer(name, layout)} is {'missing' if raw is None else raw.tolist()}",
                expected="one finite number per attention, eight in all",
                cure="check that the checkpoint was saved whole",
            )
        return float(F.softplus(raw.double()).item()) + _TAU_FLOOR

    return tuple((take(gate, "cross_block"), take(gate, "self_block")) for gate in range(4))


def _check_keys(preset: Preset, state: Mapping[str, Tensor], path: Path, layout: Layout) -> None:
    with torch.device("meta"):
        expected = DepthModel(preset, preset.height_px, preset.width_px).state_dict()
    wrong = {
        "missing": sorted(_outer(key, layout) for key in expected.keys() - state.keys()),
        "unexpected": sorted(_outer(key, layout) for key in state.keys() - expected.keys()),
        "mis-shaped": [
            f"{_outer(key, layout)} {list(state[key].shape)}, expected {list(expected[key].shape)}"
            for key in sorted(expected.keys() & state.keys())
            if state[key].shape != expected[key].shape
        ],
        "not of a floating type": sorted(_outer(key, layout) for key in state if not state[key].is_floating_point()),
    }
    if any(wrong.values()):
        raise CheckpointError(
            subject=f"checkpoint {path}",
            came="; ".join(f"{len(keys)} {kind}:{_listing(keys)}" for kind, keys in wrong.items() if keys),
            expected=f"exactly the {len(expected)} weights of {preset.name}",
            cure="check that the preset is the one it was trained as, and that the file is whole",
        )


def _outer(key: str, layout: Layout) -> str:
    """The name the user knows: the checkpoint's."""
    try:
        return to_layout(key, layout)
    except KeyError:
        return key  # never was one of ours


def _to_float32(state: Mapping[str, Tensor], path: Path, layout: Layout) -> dict[str, Tensor]:
    converted = {key: value.float() for key, value in state.items()}
    broken = sorted(_outer(key, layout) for key, value in converted.items() if not torch.isfinite(value).all())
    if broken:
        raise CheckpointError(
            subject=f"checkpoint {path}",
            came=f"{len(broken)} weights hold NaN or infinity:{_listing(broken)}",
            expected="finite weights",
            cure="take an earlier checkpoint of that training run",
        )
    return converted


def _listing(keys: list[str]) -> str:
    shown = "".join(f"\n    {key}" for key in keys[:_LISTED])
    return shown + (f"\n    … and {len(keys) - _LISTED} more" if len(keys) > _LISTED else "")
