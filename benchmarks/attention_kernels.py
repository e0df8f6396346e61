"""The attention kernel on a GPU: its errors first, then the PTX that the plugin carries, then its speed against rivals.

Behind `briges bench kernel`. Needs PyTorch and Triton, and cuda-python for the PTX. Nothing is timed if one output is
wrong.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import secrets
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from itertools import chain, product
from typing import Any, Literal

import torch
from torch import Tensor

from briges.benchmarks import attention_rivals as rivals
from briges.benchmarks.attention_rivals import OURS, Case, Inputs, Row, attempt, draw, judge, split_heads
from briges.benchmarks.kernel_rows import KernelRow
from briges.benchmarks.rows import RESULT_SCHEMA
from briges.engines.plugin.compile_kernels import ENTRY, HIDDEN_PARAMETERS, CompiledKernel
from briges.engines.plugin.compile_pool import compile_all
from briges.engines.plugin.variants import HEAD_BLOCKS, PTX_VERSIONS, HalfType, Variant, all_variants, columns_of
from briges.runtime.errors import BackendError

TEMPERATURES = (0.05, 1.0, 3.0, 100.0)
# A rival further from our checked output than this computes something else.
MAX_RIVAL_DIFFERENCE = 0.02
HALF_TYPES: dict[HalfType, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16}
_DEFAULT_SHARED_BYTES = 48 * 1024


@dataclass(frozen=True)
class Check:
    """An output's error against float64, the error it may have, and what else is wrong with it, if anything."""

    subject: str
    error: float
    allowed: float
    problem: str = ""

    @property
    def passed(self) -> bool:
        """An output with NaN has an infinite error."""
        return self.error <= self.allowed and not self.problem


def kernel_arguments(inputs: Inputs, output: Tensor) -> dict[str, Tensor | int]:
    """The kernel's parameters by name, in its own order."""
    tokens = {"query": inputs.query, "key": inputs.key, "value": inputs.value}
    rel_pos_h, rel_pos_w = inputs.tables or (inputs.query, inputs.query)  # not read without relative positions
    tables = {"rel_pos_h": rel_pos_h, "rel_pos_w": rel_pos_w}
    strides = {f"{name}_stride_{axis}": it.stride(at) for name, it in tokens.items() for at, axis in enumerate("bn")}
    counts = {"query_count": inputs.query.shape[1], "key_count": inputs.key.shape[1]}
    sides = {"grid_h": inputs.grid[0], "grid_w": inputs.grid[1]}
    return {**tokens, "temperature": inputs.temperature, **tables, "output": output, **strides, **counts, **sides}


def pack_arguments(arguments: Mapping[str, Tensor | int]) -> list[ctypes.c_void_p | ctypes.c_int32]:
    """What cuLaunchKernel gets: a pointer per tensor, an int32 per number, and nulls for Triton's scratch."""
    values = arguments.values()
    packed = [ctypes.c_int32(it) if isinstance(it, int) else ctypes.c_void_p(it.data_ptr()) for it in values]
    return [*packed, *(ctypes.c_void_p(None) for _ in range(HIDDEN_PARAMETERS))]


def attend(inputs: Inputs, variant: Variant, output: Tensor | None = None) -> Tensor:
    """The kernel as Triton compiles it here, with the tile sizes of ``variant``; fills ``output`` or a new tensor."""
    from briges.engines.plugin.attention_kernel import attention_kernel  # decides on import how it is compiled

    output = inputs.query.new_empty(inputs.query.shape) if output is None else output
    low, high = HEAD_BLOCKS[variant.head_dim]
    tile = variant.tile
    sizes = {"HEAD_DIM": variant.head_dim, "LOW": low, "HIGH": high, "COLS": variant.columns}
    tiles = {"BLOCK_M": tile.queries, "BLOCK_N": tile.keys, "num_warps": tile.warps, "num_stages": tile.stages}
    arguments = kernel_arguments(inputs, output)
    # As ahead of time: Triton 3.10 changes the default of the last.
    attention_kernel[_blocks(inputs, variant)](**arguments, **sizes, **tiles, enable_fp_fusion=True)
    return output


def check_errors(capability: str, batches: Sequence[int], generator: torch.Generator) -> Iterator[Check]:
    """Every case in every type, on poisoned outputs; every temperature at batch 1."""
    for case, images, half_type, tau in product(rivals.CASES, batches, HALF_TYPES, TEMPERATURES):
        variant = find_variant(case, capability, half_type)
        if variant is not None and (images == 1 or tau == 1.0):
            inputs = draw(case, images, generator, HALF_TYPES[half_type], tau)
            output = attend(inputs, variant, _poisoned(inputs))
            yield Check(f"{case.title}, batch {images}, {half_type}, tau {tau}", *judge(output, inputs))


def check_ptx(driver: Any, capability: str, generator: torch.Generator) -> Iterator[Check]:
    """The PTX of every variant that the cases need, launched as the plugin launches it, bit for bit against Triton's.

    On a GPU that has no PTX of its own, other instructions may round otherwise: there it must be right, not the same.
    """
    found = {find_variant(case, capability, half_type): case for case in rivals.CASES for half_type in HALF_TYPES}
    cases = {variant: case for variant, case in found.items() if variant is not None}
    for kernel in compile_all(list(cases), lambda _: None):
        variant = kernel.variant
        inputs = draw(cases[variant], 1, generator, HALF_TYPES[variant.half_type])
        output = _poisoned(inputs)
        _, problem = attempt(partial(_launch_ptx, driver, kernel, inputs, output))
        different = int((output.view(torch.int16) != attend(inputs, variant).view(torch.int16)).sum())
        if not problem and different and capability in PTX_VERSIONS:
            problem = f"{different} of {output.numel()} numbers differ from Triton's own kernel"
        subject = f"PTX {kernel.ptx_version} {kernel.target} {variant.half_type}, {cases[variant].title}"
        yield Check(subject, *judge(output, inputs), problem)


def find_variant(case: Case, capability: str, half_type: HalfType = "fp16") -> Variant | None:
    """The plugin's kernel for a case, of 8.0 on a GPU that has none of its own; None where it has no such kernel."""
    known = capability if capability in PTX_VERSIONS else "8.0"
    wanted = (case.head_dim, half_type, columns_of(*case.grid))
    return next((v for v in all_variants((known,)) if (v.head_dim, v.half_type, v.columns) == wanted), None)


def time_case(case: Case, images: int, variant: Variant, rounds: int, generator: torch.Generator) -> list[Row]:
    """Ours and every rival in turns, on so many input sets that the L2 cache holds none of them."""
    sets = [draw(case, images, generator)]
    set_bytes = 4 * sets[0].query.numel() * sets[0].query.element_size()
    cache_bytes = torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
    sets += [draw(case, images, generator) for _ in range(max(1, 3 * cache_bytes // set_bytes))]
    expected = split_heads(attend(sets[0], variant), case.heads)
    calls: dict[str, list[Any]] = {OURS: [partial(attend, inputs, variant) for inputs in sets]}
    rows = {OURS: Row(case, images, OURS, includes_bias=True)}
    for rival in rivals.make_rivals(case.relative):
        output, reason = attempt(partial(rival.call, sets[0]))
        difference = 0.0 if output is None else rivals.relative_error(output, expected)
        if difference > MAX_RIVAL_DIFFERENCE:
            reason = f"its output is {difference:.1e} from the checked one"
        if not reason:
            calls[rival.name] = [partial(rival.call, inputs) for inputs in sets]
        rows[rival.name] = Row(case, images, rival.name, rival.includes_bias, refused=reason)
    for name, found in rivals.time_in_turns(calls, rounds).items():
        outcome: dict[str, Any] = {"refused": found} if isinstance(found, str) else {"samples_ms": found}
        rows[name] = replace(rows[name], **outcome)
    return list(rows.values())


def measure_ceilings(rounds: int) -> dict[str, float]:
    """What this GPU can do: fp16 TFLOP/s of a large product, and GB/s of a copy, bytes read plus bytes written."""
    side, size_bytes = 8192, 2**30
    left, right = (torch.randn(side, side, device="cuda").half() for _ in range(2))
    source = torch.randint(256, (size_bytes,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    found = rivals.time_in_turns({"product": [lambda: left @ right], "copy": [lambda: target.copy_(source)]}, rounds)
    work = {"product": ("fp16 matmul TFLOP/s", 2 * side**3 / 1e9), "copy": ("copy GB/s", 2 * size_bytes / 1e6)}
    times = {name: samples for name, samples in found.items() if not isinstance(samples, str)}
    return {label: amount / statistics.median(times[name]) for name, (label, amount) in work.items() if name in times}


def describe_environment() -> dict[str, object]:
    """Versions, and clocks and power of this moment as nvidia-smi tells them: it is only asked, never told."""
    import triton

    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    found: dict[str, object] = {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "device": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "torch": torch.__version__,
        "triton": triton.__version__,
    }
    names = ("driver", "sm_clock_mhz", "sm_clock_max_mhz", "power_w", "power_max_w")
    fields = "driver_version,clocks.sm,clocks.max.sm,power.draw,power.max_limit"
    command = ["nvidia-smi", f"--id=GPU-{properties.uuid}", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    if shutil.which(command[0]):
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        found |= dict(zip(names, told.stdout.strip().split(", "), strict=False)) if told.returncode == 0 else {}
    return found


@torch.inference_mode()
def benchmark(quick: bool, record: Callable[[KernelRow], None]) -> bool:
    """The whole benchmark, printed as it goes. False if an output was wrong: then nothing was timed.

    Raises BackendError where there is no GPU.
    """
    _require_gpu()
    capability = str(describe_environment()["capability"])
    batches, rounds = ((1,), 5) if quick else ((1, 4), 30)
    seed = secrets.randbits(31)
    generator = torch.Generator("cuda").manual_seed(seed)
    print(f"seed {seed}\n\n| output | error | allowed | |\n|---|---|---|---|")
    checks = check_errors(capability, batches, generator)
    try:
        driver = importlib.import_module("cuda.bindings.driver")
    except ImportError as missing:
        print(f"| PTX | - | - | NOT CHECKED: {missing}; `pip install cuda-python` |")
    else:
        checks = chain(checks, check_ptx(driver, capability, generator))
    passed = True
    for check in checks:
        passed = passed and check.passed
        verdict = "passed" if check.passed else f"FAILED {check.problem}"
        print(f"| {check.subject} | {check.error:.2e} | {check.allowed:.2e} | {verdict} |", flush=True)
        problem = None if check.passed else check.problem or f"error {check.error:.2e}"
        record(_row("check", check.subject, {"error": check.error, "allowed": check.allowed, "seed": seed}, problem))
    if not passed:
        return False
    ceilings = measure_ceilings(rounds)
    for name, value in ceilings.items():
        record(_row("ceiling", name, {name: value}))
    lines = []
    for case, images in product(rivals.CASES, batches):
        if (variant := find_variant(case, capability)) is not None:
            rows = time_case(case, images, variant, rounds, generator)
            lines.append(rivals.format_times(rows))
            for row in rows:
                subject = f"{case.title}, batch {images}, {row.contender}, bias {row.includes_bias}"
                values = {"median_ms": row.median_ms, "flops": case.flops(images)}
                record(_row("time", subject, values, row.refused or None, row.samples_ms))
    print("\n" + ", ".join(f"{name} {value}" for name, value in describe_environment().items()))
    print("ceilings: " + ", ".join(f"{name} {value:.0f}" for name, value in ceilings.items()))
    print(rivals.TIMES_HEADER + "\n".join(lines))
    print("\nbias made: within the time, from tables spread out before; bias for free: before it, no goal counts it")
    return True


def _row(
    what: Literal["check", "time", "ceiling"],
    subject: str,
    values: Mapping[str, float],
    problem: str | None = None,
    samples_ms: Sequence[float] = (),
) -> KernelRow:
    finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}  # JSON has no infinity
    told = {name: str(value) for name, value in describe_environment().items()}
    return KernelRow(RESULT_SCHEMA, "kernel", told["date"], what, subject, finite, tuple(samples_ms), problem, told)


def _require_gpu() -> None:
    if torch.version.cuda is None or not torch.cuda.is_available():
        raise BackendError(
            subject="the attention benchmark",
            came=f"PyTorch {torch.__version__} finds no NVIDIA GPU",
            expected="one of compute capability 7.5 or newer, with a PyTorch built for CUDA",
            cure="run it on a machine with one; if `nvidia-smi` shows one here, install PyTorch's CUDA wheel",
        )


def _poisoned(inputs: Inputs) -> Tensor:
    return torch.full_like(inputs.query, torch.nan, memory_format=torch.contiguous_format)


def _blocks(inputs: Inputs, variant: Variant) -> tuple[int, int, int]:
    batch, count, _ = inputs.query.shape
    return -(-count // variant.tile.queries), inputs.heads, batch


def _launch_ptx(driver: Any, kernel: CompiledKernel, inputs: Inputs, output: Tensor) -> None:
    def ask(function: str, *arguments: object) -> Any:
        status, *answer = getattr(driver, function)(*arguments)
        if status != driver.CUresult.CUDA_SUCCESS:
            raise BackendError(subject=function, came=repr(status), expected="success", cure="update the driver")
        return answer[0] if answer else None

    values = pack_arguments(kernel_arguments(inputs, output))
    assert len(values) == kernel.parameters
    pointers = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
    image = ctypes.create_string_buffer(kernel.ptx.encode())  # ends in the zero that the driver looks for
    module = ask("cuModuleLoadData", ctypes.addressof(image))
    try:
        function = ask("cuModuleGetFunction", module, ENTRY.encode())
        if kernel.shared_bytes > _DEFAULT_SHARED_BYTES:
            shared = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            ask("cuFuncSetAttribute", function, shared, kernel.shared_bytes)
        stream = driver.CUstream(torch.cuda.current_stream().cuda_stream)
        shape = (*_blocks(inputs, kernel.variant), kernel.threads, 1, 1)
        ask("cuLaunchKernel", function, *shape, kernel.shared_bytes, stream, ctypes.addressof(pointers), 0)
        torch.cuda.synchronize()
    finally:
        ask("cuModuleUnload", module)
