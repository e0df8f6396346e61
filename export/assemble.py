"""A preset, weights and a size to one model ready to trace."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from briges.export.checkpoints import WeightFiles, load_weights
from briges.export.gates import BridgingGate, fold_temperature
from briges.export.model import DepthModel
from briges.export.presets import Preset
from briges.export.random_weights import randomise
from briges.export.temperature import parse_temperature
from briges.runtime.contracts import PATCH_PX
from briges.runtime.errors import InvalidSizeError, UsageError
from briges.runtime.sidecar import Temperature, Weights

# Positions are interpolated from a 37x37 table and attention grows with the square of the area; past this nobody has
# ever trained or measured, and below it the coarsest level of the head has no pixels to fuse.
_LARGEST_PX = 292 * PATCH_PX
_SMALLEST_PX = 2 * PATCH_PX


@dataclass(frozen=True)
class AssembledModel:
    """A model in eval mode with constants baked and a fixed temperature folded, and what the sidecar says of it."""

    model: DepthModel
    preset: Preset
    temperature: Temperature
    weights: Weights


def check_network_size(height_px: int, width_px: int) -> None:
    """Refuse a size the encoders cannot have, naming the nearest one they can. Raises InvalidSizeError."""
    for side in (height_px, width_px):
        if side % PATCH_PX or not _SMALLEST_PX <= side <= _LARGEST_PX:
            bounded = min(max(side, _SMALLEST_PX), _LARGEST_PX)
            raise InvalidSizeError(
                subject="input size",
                came=f"{height_px}x{width_px} (height x width)",
                expected=f"multiples of {PATCH_PX} from {_SMALLEST_PX} to {_LARGEST_PX}",
                cure=f"use {round(bounded / PATCH_PX) * PATCH_PX} instead of {side}",
            )


def parse_taps(text: str | None) -> tuple[int, ...] | None:
    """Read "8,9,10,11"; None stays None. Raises UsageError."""
    try:
        return None if text is None else tuple(int(item) for item in text.split(","))
    except ValueError as error:
        raise UsageError(
            subject="--taps", came=repr(text), expected="four block numbers such as 8,9,10,11", cure="leave it out"
        ) from error


def with_taps(preset: Preset, taps: tuple[int, ...] | None) -> Preset:
    """``preset`` reading other encoder blocks, for checkpoints that need it (state dicts do not record their taps)."""
    if taps is None:
        return preset
    depth = preset.geometry.depth
    if len(taps) != 4 or list(taps) != sorted(set(taps)) or not 0 <= taps[0] <= taps[-1] < depth:
        raise UsageError(
            subject="--taps",
            came=",".join(map(str, taps)),
            expected=f"four increasing block numbers from 0 to {depth - 1}",
            cure=f"leave it out to use {','.join(map(str, preset.geometry.taps))}",
        )
    first, second, third, fourth = taps
    geometry = dataclasses.replace(preset.geometry, taps=(first, second, third, fourth))
    return dataclasses.replace(preset, geometry=geometry)


def assemble(
    preset: Preset,
    source: WeightFiles | int,
    *,
    height_px: int,
    width_px: int,
    temperature: str,
) -> AssembledModel:
    """Build the model for one fixed size.

    source: weight files, which may refine the preset (see ``load_weights``), or the seed of random weights.
    temperature: see ``parse_temperature``.
    Raises CheckpointError, InvalidSizeError, UsageError.
    """
    check_network_size(height_px, width_px)
    policy = parse_temperature(temperature, gated=preset.gated)  # a wrong option is told before gigabytes are read
    if isinstance(source, WeightFiles):
        loaded = load_weights(preset, source)
        preset, origin = loaded.preset, loaded.origin
        policy = dataclasses.replace(policy, learned=loaded.learned_temperatures)
        with torch.device("meta"):
            model = DepthModel(preset, height_px, width_px)
        model.load_state_dict(loaded.state, assign=True)
    else:
        with torch.device("meta"):
            model = DepthModel(preset, height_px, width_px)
        model.to_empty(device="cpu")
        randomise(model, source)
        origin = Weights(files=(), random_seed=source, layout="none", licence="none: random weights")
    model.eval().requires_grad_(False)
    if preset.gated:
        _fold(model, policy)
    model.bake_constants()
    return AssembledModel(model, preset, policy, origin)


def _fold(model: DepthModel, policy: Temperature) -> None:
    for number, gate in enumerate(model.gates):
        assert isinstance(gate, BridgingGate)
        cross, self_attention = policy.learned[number] if policy.learned else (1.0, 1.0)
        fold_temperature(gate, cross * policy.cross, self_attention * policy.self_attention)
