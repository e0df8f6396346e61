"""What the attention kernel is measured on and against: cases, plain attention, PyTorch's fused kernels, one clock.

Every contender gets the same packed tokens, is captured into a CUDA graph that walks over all input sets, and takes its
turn in every round: launch gaps, warm caches and a falling clock favour nobody.
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any, TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

OURS = "briges"
# How many times as fast as the best rival, without and with relative positions.
GOAL_PLAIN, GOAL_RELATIVE = 1.0, 3.0
WARM_UP_ROUNDS, MIN_CALLS_PER_SAMPLE = 3, 8
# Logits of one part of a checked attention: 256 MiB of them in float64.
_PART_LOGITS = 2**25
_BACKENDS = (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)
TIMES_HEADER = "| case | images | contender | median ms | TFLOP/s | best rival / ours | goal |\n" + 7 * "|---" + "|\n"

Positions: TypeAlias = tuple[Tensor, Tensor]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Case:
    """A self-attention. windows: batch entries of an image. grid: (rows, columns) with relative positions, or zeros."""

    name: str
    heads: int
    head_dim: int
    tokens: int
    windows: int = 1
    grid: tuple[int, int] = (0, 0)

    @property
    def title(self) -> str:
        """Its name and size."""
        return f"{self.name}, N {self.tokens}"

    @property
    def relative(self) -> bool:
        """Whether it has relative positions."""
        return self.grid != (0, 0)

    def flops(self, images: int) -> int:
        """Of the two products, Q K^T and weights times V; those of the relative positions are not counted."""
        return 4 * images * self.windows * self.heads * self.tokens**2 * self.head_dim


CASES = (
    Case("gate 16x48", 16, 48, 1369),
    Case("gate 16x64", 16, 64, 1369),
    Case("gate 16x48", 16, 48, 4736),
    Case("gate 16x64", 16, 64, 4736),
    Case("DINOv2 12x64", 12, 64, 1370),
    Case("SAM global 12x64", 12, 64, 4096, grid=(64, 64)),
    Case("SAM windows 12x64", 12, 64, 196, windows=25, grid=(14, 14)),
)


@dataclass(frozen=True)
class Inputs:
    """One attention's tensors.

    query, key, value: half [B, N, heads * head_dim], thirds of one packed tensor
    temperature: float32 [1], the same number as ``tau``
    tables: half [2 * side - 1, head_dim] by row and by column distance; None without relative positions
    """

    query: Tensor
    key: Tensor
    value: Tensor
    heads: int
    tau: float
    temperature: Tensor
    tables: tuple[Tensor, Tensor] | None
    grid: tuple[int, int]

    @property
    def by_head(self) -> tuple[Tensor, Tensor, Tensor]:
        """query, key and value as views [B, heads, N, head_dim]."""
        query, key, value = (split_heads(tokens, self.heads) for tokens in (self.query, self.key, self.value))
        return query, key, value

    @property
    def scale(self) -> float:
        """What the products of query and key are multiplied by."""
        return float(self.by_head[0].shape[-1] ** -0.5 / self.tau)

    @cached_property
    def positions(self) -> Positions | None:
        """The tables spread out, [query's, key's, head_dim]: constants of a network, so nobody is timed making them."""
        if self.tables is None:
            return None
        places = [torch.arange(side, device=self.query.device) for side in self.grid]
        rows, columns = (at[:, None] - at[None] + len(at) - 1 for at in places)  # [query's, key's]
        return self.tables[0][rows], self.tables[1][columns]

    @cached_property
    def bias(self) -> Tensor | None:
        """The materialised bias [B, heads, N, N], made once: for the rows in which it costs nothing."""
        return None if self.positions is None else make_bias(self.by_head[0], self.positions)


def draw(
    case: Case, images: int, generator: torch.Generator, dtype: torch.dtype = torch.float16, tau: float = 1.0
) -> Inputs:
    """Random tokens and tables, none of them zero, on the generator's device."""
    device, width = generator.device, case.heads * case.head_dim
    packed = torch.randn(images * case.windows, case.tokens, 3 * width, generator=generator, device=device).to(dtype)
    query, key, value = packed.split(width, -1)
    tables = None
    if case.relative:
        by_row, by_column = (
            torch.randn(2 * side - 1, case.head_dim, generator=generator, device=device).to(dtype) * 0.3
            for side in case.grid
        )
        tables = by_row, by_column
    return Inputs(query, key, value, case.heads, tau, torch.tensor([tau], device=device), tables, case.grid)


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """[B, N, heads * head_dim] -> a view [B, heads, N, head_dim]."""
    return tokens.unflatten(-1, (heads, -1)).transpose(1, 2)


def make_bias(query: Tensor, positions: Positions) -> Tensor:
    """SAM's relative positions [..., N, N] from the *unscaled* query [..., N, head_dim], N = rows * columns."""
    by_row, by_column = positions
    on_grid = query.unflatten(-2, (by_row.shape[0], by_column.shape[0]))  # -> [..., rows, columns, head_dim]
    row_term = torch.einsum("...yxd,yzd->...yxz", on_grid, by_row)
    column_term = torch.einsum("...yxd,xzd->...yxz", on_grid, by_column)
    # [..., rows, columns, key's row, key's column] -> [..., N, N]
    return (row_term[..., :, None] + column_term[..., None, :]).flatten(-2).flatten(-3, -2)


def plain_attention(query: Tensor, key: Tensor, value: Tensor, scale: float, positions: Positions | None) -> Tensor:
    """The formula written plainly, [..., N, head_dim] in and out, every step in the inputs' own type."""
    logits = (query * scale) @ key.transpose(-1, -2)
    if positions is not None:
        logits = logits + make_bias(query, positions)
    return logits.softmax(-1) @ value


def attend_in(dtype: torch.dtype, inputs: Inputs) -> Tensor:
    """Plain attention in ``dtype``, [B, heads, N, head_dim]; a few heads at a time, for small memories."""
    query, key, value = (tokens.flatten(0, 1) for tokens in inputs.by_head)  # [B * heads, N, head_dim]
    positions = inputs.positions and (inputs.positions[0].to(dtype), inputs.positions[1].to(dtype))
    size = max(1, _PART_LOGITS // query.shape[1] ** 2)
    parts = [
        plain_attention(q.to(dtype), k.to(dtype), v.to(dtype), inputs.scale, positions)
        for q, k, v in zip(query.split(size), key.split(size), value.split(size), strict=True)
    ]
    return torch.cat(parts).unflatten(0, (-1, inputs.heads))


def relative_error(output: Tensor, reference: Tensor) -> float:
    """Relative L2 of ``output`` against a float64 ``reference``; what was not written is NaN: infinite."""
    exact = reference.double()
    error = float(torch.linalg.vector_norm(output.double() - exact) / torch.linalg.vector_norm(exact))
    return math.inf if math.isnan(error) else error


def judge(output: Tensor, inputs: Inputs) -> tuple[float, float]:
    """The error of ``output`` [B, N, heads * head_dim] and the error it may have."""
    exact = attend_in(torch.float64, inputs)
    allowed = 2 * relative_error(attend_in(inputs.query.dtype, inputs), exact)
    return relative_error(split_heads(output, inputs.heads), exact), allowed


@dataclass(frozen=True)
class Rival:
    """Another attention, [B, heads, N, head_dim] out. includes_bias: False where its bias was made beforehand."""

    name: str
    call: Callable[[Inputs], Tensor]
    includes_bias: bool = True


def make_rivals(relative: bool) -> list[Rival]:
    """PyTorch's fused kernels and its compiler."""
    rivals = []
    for backend in _BACKENDS:
        name = f"sdpa {backend.name}"
        rivals.append(Rival(f"{name}, bias made" if relative else name, partial(_fused, backend, True)))
        if relative:
            rivals.append(Rival(f"{name}, bias for free", partial(_fused, backend, False), includes_bias=False))

    @cache  # and only once it is its turn, so that a PyTorch without a compiler is a row as well
    def compiled() -> Callable[..., Tensor]:
        torch.compiler.reset()  # beyond eight shapes of one function the compiler silently gives up
        return torch.compile(plain_attention, dynamic=False)

    rivals.append(Rival("torch.compile plain", lambda it: compiled()(*it.by_head, it.scale, it.positions)))
    return rivals


def _fused(backend: SDPBackend, make: bool, inputs: Inputs) -> Tensor:
    made = make_bias(inputs.by_head[0], inputs.positions) if make and inputs.positions is not None else inputs.bias
    with sdpa_kernel(backend):
        return F.scaled_dot_product_attention(*inputs.by_head, attn_mask=made, scale=inputs.scale)


def attempt(call: Callable[[], Result]) -> tuple[Result | None, str]:
    """What ``call`` returns; or None and why it refuses in one line, with PyTorch's warnings of why."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            return call(), ""
        except Exception as error:  # PyTorch's compiler and kernels have no common base class for their errors
            torch.cuda.empty_cache()  # what ran out of memory must not take it from the next
            told = [str(error) or type(error).__name__, *(str(warning.message) for warning in heard)]
            # PyTorch warns of every kernel that was switched off as well.
            told = [text for text in told if "not used because" not in text and "runtime disabled" not in text]
            lines = (" ".join(text.partition(" (Triggered")[0].split()).replace("|", "/")[:200] for text in told)
            return None, "; ".join(dict.fromkeys(lines))


@dataclass(frozen=True)
class Row:
    """One contender on one case: milliseconds of one call, every sample kept, or why there are none."""

    case: Case
    images: int
    contender: str
    includes_bias: bool
    samples_ms: Sequence[float] = ()
    refused: str = ""

    @property
    def median_ms(self) -> float:
        """Infinite for one that refused."""
        return statistics.median(self.samples_ms) if self.samples_ms else math.inf


def time_in_turns(calls: Mapping[str, Sequence[Callable[[], object]]], rounds: int) -> dict[str, list[float] | str]:
    """Milliseconds of one call by CUDA events, a sample of each contender in every round; or why it refuses.

    calls: for each contender the same call on every input set
    """
    pool = torch.cuda.graph_pool_handle()  # one for all: nobody's output is read, and they never run at the same time
    graphs = {}
    found: dict[str, list[float] | str] = {}
    for name, its_calls in calls.items():
        graph, reason = attempt(partial(_capture, pool, its_calls))
        found[name] = reason or []
        if graph is not None:
            graphs[name] = graph
    for number in range(WARM_UP_ROUNDS + rounds):
        for name, graph in graphs.items():
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            if number >= WARM_UP_ROUNDS and isinstance(samples := found[name], list):
                samples.append(start.elapsed_time(end) / max(MIN_CALLS_PER_SAMPLE, len(calls[name])))
    return found


def _capture(pool: Any, calls: Sequence[Callable[[], object]]) -> torch.cuda.CUDAGraph:
    for call in calls:  # compiles and chooses algorithms, which a graph cannot
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        for number in range(max(MIN_CALLS_PER_SAMPLE, len(calls))):
            calls[number % len(calls)]()
    return graph


def find_best_rival(rows: Sequence[Row]) -> Row | None:
    """The fastest of the rows of one case that computes all that ours computes."""
    able = [row for row in rows if row.contender != OURS and row.includes_bias and row.samples_ms]
    return min(able, key=lambda row: row.median_ms, default=None)


def format_times(rows: Sequence[Row]) -> str:
    """The Markdown rows of one case, ours first, with the goal met or not met."""
    best, lines = find_best_rival(rows), []
    for row in rows:
        cells = ["-", "-", row.refused, ""]
        if row.samples_ms:
            cells = [f"{row.median_ms:.4f}", f"{row.case.flops(row.images) / row.median_ms / 1e9:.1f}", "", ""]
            if row.contender == OURS and best is not None:
                ratio, goal = best.median_ms / row.median_ms, GOAL_RELATIVE if row.case.relative else GOAL_PLAIN
                cells[2:] = f"{ratio:.2f} x {best.contender}", f">= {goal:.1f}: {'met' if ratio >= goal else 'not met'}"
        lines.append(f"| {row.case.title} | {row.images} | {row.contender} | {' | '.join(cells)} |")
    return "\n".join(lines)
