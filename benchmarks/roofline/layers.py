"""What single layers cost: operations, parameters, and elements that pass through them, for one image.

Two FLOP per multiply-add, of matrix products and convolutions alone. ``traffic``: elements that a layer reads and
writes besides its weights, where whatever works element by element (norms, activations, residuals, biases) is fused
into its neighbour and attention never writes its matrix: what a good implementation moves, if no cache holds results.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from briges.export.presets import MLP_RATIO


@dataclass(frozen=True)
class LayerWork:
    """Of one layer or of several together."""

    flop: int = 0
    parameters: int = 0
    traffic: int = 0


def total(layers: Iterable[LayerWork]) -> LayerWork:
    """All of them."""
    found = list(layers)
    return LayerWork(
        sum(layer.flop for layer in found),
        sum(layer.parameters for layer in found),
        sum(layer.traffic for layer in found),
    )


def repeat(layer: LayerWork, times: int) -> LayerWork:
    """The same layer ``times`` times, each with weights of its own."""
    return LayerWork(layer.flop * times, layer.parameters * times, layer.traffic * times)


def linear(tokens: int, inputs: int, outputs: int, *, bias: bool = True) -> LayerWork:
    """A matrix product per token; also a 1x1 convolution per pixel."""
    return convolve(tokens, tokens, inputs, outputs, 1, bias=bias)


def convolve(
    read_px: int, written_px: int, inputs: int, outputs: int, kernel_px: int, *, bias: bool = True
) -> LayerWork:
    """A square convolution from ``read_px`` pixels of ``inputs`` channels to ``written_px`` pixels of ``outputs``."""
    weights = kernel_px**2 * inputs * outputs
    return LayerWork(
        flop=2 * written_px * weights,
        parameters=weights + (outputs if bias else 0),
        traffic=read_px * inputs + written_px * outputs,
    )


def enlarge(pixels: int, channels: int, factor: int) -> LayerWork:
    """A transposed convolution whose stride is its kernel: every input pixel becomes factor x factor output pixels."""
    weights = factor**2 * channels**2
    return LayerWork(2 * pixels * weights, weights + channels, (1 + factor**2) * pixels * channels)


def resize(read_px: int, written_px: int, channels: int) -> LayerWork:
    """An interpolation: no product is counted, only what it moves."""
    return LayerWork(traffic=(read_px + written_px) * channels)


def norm(width: int) -> LayerWork:
    """A LayerNorm: two parameters per channel, fused into its neighbour."""
    return LayerWork(parameters=2 * width)


def attend(queries: int, keys: int, width: int) -> LayerWork:
    """Q K^T and its product with V over all heads, which together are ``width`` channels."""
    return LayerWork(flop=4 * queries * keys * width, traffic=2 * (queries + keys) * width)


def mlp(tokens: int, width: int) -> LayerWork:
    """The two products around the GELU."""
    return total((linear(tokens, width, MLP_RATIO * width), linear(tokens, MLP_RATIO * width, width)))
