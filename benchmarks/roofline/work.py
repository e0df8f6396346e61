"""How much work a network is, counted from its preset: operations, parameters, traffic and memory of each part.

Closed formulas over the facts in export/presets.py, without torch. A test holds them against what torch counts
(torch.utils.flop_counter) and holds (parameters) for the real modules.
"""

from __future__ import annotations

from dataclasses import dataclass

from briges.benchmarks.roofline.layers import (
    LayerWork,
    attend,
    convolve,
    enlarge,
    linear,
    mlp,
    norm,
    repeat,
    resize,
    total,
)
from briges.export.presets import GeometrySpec, HeadSpec, Preset, SemanticSpec, find_preset
from briges.runtime.contracts import PATCH_PX

_GATES = 4
_LAST_CHANNELS = 32  # of the head, before the convolution that stays in fp32


@dataclass(frozen=True)
class ComponentWork:
    """One part of a network for one image. Counts of elements, so that every precision and batch follows from them.

    flop: two per multiply-add, matrix products and convolutions alone
    parameters: numbers in its weights, read once per inference
    traffic: elements that its layers read and write (see layers.py)
    boundary: elements that enter and leave it, the least that any implementation moves besides the weights
    alive: most elements alive at once in the network's precision, ``alive_fp32`` those beside them in fp32
    """

    name: str
    flop: int
    parameters: int
    traffic: int
    boundary: int
    alive: int
    alive_fp32: int = 0


def count_work(preset: Preset, height_px: int, width_px: int) -> tuple[ComponentWork, ...]:
    """The parts in the order they run: geometry, semantic and gates (gated presets alone), head.

    height_px, width_px: of the depth input, multiples of 14.
    """
    rows, columns = height_px // preset.geometry.patch_px, width_px // preset.geometry.patch_px
    tokens, width = rows * columns, preset.geometry.width
    features = 4 * tokens * width  # the four maps between the parts
    parts = [_geometry(preset.geometry, tokens, 3 * height_px * width_px, features)]
    if preset.semantic is not None:
        parts += [_semantic(preset.semantic, waiting=features), _gates(preset, preset.semantic, tokens, features)]
    return (*parts, _head(preset.head, width, rows, columns, features))


def gflop_of(preset_name: str, height_px: int, width_px: int, batch: int = 1) -> float:
    """GFLOP of one inference of ``batch`` images, all parts. Raises UnknownNameError."""
    return batch * sum(part.flop for part in count_work(find_preset(preset_name), height_px, width_px)) / 1e9


def _geometry(spec: GeometrySpec, patches: int, image: int, features: int) -> ComponentWork:
    tokens, width = patches + 1, spec.width  # and the class token
    scales = LayerWork(parameters=2 * width)
    positions = LayerWork(parameters=(2 + spec.position_grid**2) * width)  # with the class token itself
    layers = total(
        (
            _patches(patches, spec.patch_px, width),
            positions,
            repeat(total((_self_block(tokens, tokens, tokens, width), scales)), spec.depth),
            norm(width),
        )
    )
    return _component("geometry", layers, boundary=image + features, alive=_alive(tokens, tokens, width) + features)


def _semantic(spec: SemanticSpec, waiting: int) -> ComponentWork:
    tokens, width, side = spec.grid**2, spec.width, spec.window
    windows = (-(-spec.grid // side)) ** 2
    in_windows = windows * side**2  # padding is computed and attended to like any token

    def block(inside: int, reach: int, sides: int) -> LayerWork:
        # Each token meets a table of its row and one of its column, sides entries of a head's width each.
        relative = LayerWork(flop=2 * 2 * inside * sides * width, parameters=2 * (2 * sides - 1) * width // spec.heads)
        return total((_self_block(tokens, inside, reach, width), relative))

    global_blocks = len(spec.global_blocks)
    layers = total(
        (
            _patches(tokens, spec.patch_px, width),
            LayerWork(parameters=tokens * width),
            repeat(block(in_windows, side**2, side), spec.depth - global_blocks),
            repeat(block(tokens, tokens, spec.grid), global_blocks),
        )
    )
    boundary = 3 * spec.image_px**2 + tokens * width
    return _component("semantic", layers, boundary, alive=_alive(tokens, in_windows, width) + waiting)


def _gates(preset: Preset, semantic: SemanticSpec, tokens: int, features: int) -> ComponentWork:
    width, semantic_map = preset.geometry.width, semantic.grid**2 * semantic.width
    cross = total(
        (
            linear(tokens, width, width),
            linear(tokens, width, 2 * width),
            attend(tokens, tokens, width),
            linear(tokens, width, width),
            mlp(tokens, width),
            repeat(norm(width), 3),
        )
    )
    gate = total((cross, _self_block(tokens, tokens, tokens, width)))
    layers = total((_aligner(preset, semantic, tokens), repeat(gate, _GATES)))
    # The features that came and those that leave, and the semantic map until it is aligned.
    alive = _alive(tokens, tokens, width) + 2 * features + semantic_map
    return _component("gates", layers, boundary=2 * features + semantic_map, alive=alive)


def _aligner(preset: Preset, semantic: SemanticSpec, tokens: int) -> LayerWork:
    width = preset.geometry.width
    if preset.aligner == "pool":
        return resize(semantic.grid**2, tokens, width)  # the maximum is taken as the enlarged map is computed
    refine = total(
        (
            convolve(4 * tokens, tokens, width, width, 3, bias=False),
            convolve(tokens, tokens, width, width, 3, bias=False),
        )
    )
    return total((resize(semantic.grid**2, 4 * tokens, width), repeat(refine, _GATES)))


def _head(spec: HeadSpec, width: int, rows: int, columns: int, features: int) -> ComponentWork:
    tokens, out = rows * columns, spec.out_channels
    # Pixels of the four levels, fine to coarse; of what the last fusion makes; of the depth.
    levels = (16 * tokens, 4 * tokens, tokens, ((rows + 1) // 2) * ((columns + 1) // 2))
    fused, depth = 64 * tokens, PATCH_PX**2 * tokens
    channels, half = spec.features, spec.features // 2

    def same(pixels: int, inputs: int, outputs: int, *, bias: bool = True) -> LayerWork:
        return convolve(pixels, pixels, inputs, outputs, 3, bias=bias)

    def fuse(pixels: int, target: int, convolutions: int) -> LayerWork:
        refine = repeat(same(pixels, channels, channels), convolutions)
        return total((refine, resize(pixels, target, channels), linear(target, channels, channels)))

    layers = total(
        (
            *(linear(tokens, width, count) for count in out),
            enlarge(tokens, out[0], 4),
            enlarge(tokens, out[1], 2),
            convolve(tokens, levels[3], out[3], out[3], 3),
            *(same(pixels, count, channels, bias=False) for pixels, count in zip(levels, out, strict=True)),
            fuse(levels[3], levels[2], convolutions=2),  # the coarsest has nothing to add to
            fuse(levels[2], levels[1], convolutions=4),
            fuse(levels[1], levels[0], convolutions=4),
            fuse(levels[0], fused, convolutions=4),
            same(fused, channels, half),
            resize(fused, depth, half),
            same(depth, half, _LAST_CHANNELS),
            linear(depth, _LAST_CHANNELS, 1),
        )
    )
    # At the end: the input of the last 3x3 convolution, and its output for the fp32 one after it.
    at_end, in_fusion = depth * half, fused * (channels + half)
    return _component("head", layers, features + depth, alive=max(at_end, in_fusion), alive_fp32=depth * _LAST_CHANNELS)


def _self_block(tokens: int, attended: int, reach: int, width: int) -> LayerWork:
    """A pre-norm block: attention of ``attended`` tokens to ``reach`` each, and the MLP over ``tokens``."""
    groups = attended // reach
    return total(
        (
            linear(attended, width, 3 * width),
            repeat(attend(reach, reach, width), groups),
            linear(attended, width, width),
            mlp(tokens, width),
            repeat(norm(width), 2),
        )
    )


def _patches(tokens: int, patch_px: int, width: int) -> LayerWork:
    return convolve(tokens * patch_px**2, tokens, 3, width, patch_px)


def _alive(tokens: int, attended: int, width: int) -> int:
    """In a block: the residual beside qkv and what attention writes, or beside both sides of an MLP's product."""
    return max(tokens + 4 * attended, 6 * tokens) * width


def _component(name: str, layers: LayerWork, boundary: int, alive: int, alive_fp32: int = 0) -> ComponentWork:
    return ComponentWork(name, layers.flop, layers.parameters, layers.traffic, boundary, alive, alive_fp32)
