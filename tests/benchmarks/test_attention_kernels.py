"""The GPU benchmark of the attention kernel, as far as it goes without a GPU."""

from __future__ import annotations

import ctypes
import json
import math
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from support.commands import MAIN, run_python

from briges.benchmarks import attention_kernels
from briges.benchmarks.attention_kernels import Check, find_variant, kernel_arguments, pack_arguments
from briges.benchmarks.attention_rivals import (
    CASES,
    OURS,
    TIMES_HEADER,
    Case,
    Inputs,
    Row,
    attempt,
    attend_in,
    draw,
    find_best_rival,
    format_times,
    judge,
    make_rivals,
    relative_error,
    split_heads,
)
from briges.benchmarks.kernel_rows import KernelRow
from briges.benchmarks.records import append_row, read_rows
from briges.engines.plugin.reference import attention

PLAIN = Case("gate", 2, 16, 37)
RELATIVE = Case("SAM", 2, 16, 12, windows=3, grid=(3, 4))


def inputs_of(case: Case, *, tau: float = 1.0) -> Inputs:
    return draw(case, 2, torch.Generator().manual_seed(3), tau=tau)


def merge_heads(tokens: torch.Tensor) -> torch.Tensor:
    return tokens.transpose(1, 2).flatten(2)


def row(name: str, *samples_ms: float, case: Case = PLAIN, bias: bool = True, refused: str = "") -> Row:
    return Row(case, 1, name, bias, samples_ms, refused)


def test_without_a_gpu_it_says_so_and_nothing_else(tmp_path: Path) -> None:
    code = f"import os\nos.environ['CUDA_VISIBLE_DEVICES'] = ''\n{MAIN}"
    done = run_python(code, "bench", "kernel", "--json", tmp_path / "out.jsonl")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: the attention benchmark: PyTorch ")
    assert "finds no NVIDIA GPU\n  expected: one of compute capability 7.5 or newer" in done.stderr
    assert "\n  cure: run it on a machine with one" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("case", [PLAIN, RELATIVE])
def test_arguments_are_packed_in_the_kernels_own_order_with_two_nulls_behind(case: Case) -> None:
    inputs = inputs_of(case)
    output = torch.empty(inputs.query.shape, dtype=torch.float16)
    arguments = kernel_arguments(inputs, output)
    done = run_python(
        "import json\nfrom briges.engines.plugin.attention_kernel import attention_kernel\n"
        "print(json.dumps(attention_kernel.arg_names))"
    )
    names = [name for name in json.loads(done.stdout) if name != name.upper()]  # its constants are in capitals
    assert list(arguments) == names
    packed = pack_arguments(arguments)
    assert [type(value) for value in packed] == 7 * [ctypes.c_void_p] + 10 * [ctypes.c_int32] + 2 * [ctypes.c_void_p]
    by_row, by_column = inputs.tables or (inputs.query, inputs.query)
    tensors = (inputs.query, inputs.key, inputs.value, inputs.temperature, by_row, by_column, output)
    assert [value.value for value in packed[:7]] == [tensor.data_ptr() for tensor in tensors]
    stride_b, stride_n = case.tokens * 3 * 32, 3 * 32  # elements of the packed tensor
    assert [value.value for value in packed[7:13]] == 3 * [stride_b, stride_n]
    assert [value.value for value in packed[13:17]] == [case.tokens, case.tokens, *case.grid]
    assert [value.value for value in packed[17:]] == [None, None]
    assert inputs.key.data_ptr() - inputs.query.data_ptr() == 32 * 2  # bytes: the key stands behind the query


def test_the_two_products_are_counted_and_nothing_else() -> None:
    gate = next(case for case in CASES if case.head_dim == 48 and case.tokens == 1369)
    windows = next(case for case in CASES if case.windows > 1)
    assert gate.flops(1) == 4 * 16 * 1369 * 1369 * 48 == 5_757_422_592
    assert windows.flops(4) == 4 * 100 * 12 * 196 * 196 * 64 == 11_801_395_200


def test_every_case_has_a_kernel_on_ampere_and_newer_and_turing_lacks_some() -> None:
    assert all(find_variant(case, "9.0", half_type) for case in CASES for half_type in ("fp16", "bf16"))
    assert not any(find_variant(case, "7.5", "bf16") for case in CASES)
    unknown = find_variant(CASES[0], "99.9")
    assert unknown is not None
    assert unknown.compute_capability == "8.0"


@pytest.mark.parametrize("case", [PLAIN, RELATIVE])
@pytest.mark.parametrize("tau", [0.05, 1.0, 100.0])
def test_plain_attention_in_float64_is_the_reference(case: Case, tau: float) -> None:
    inputs = inputs_of(case, tau=tau)
    query, key, value = (tokens.double().numpy() for tokens in (inputs.query, inputs.key, inputs.value))
    tables = None if inputs.tables is None else (inputs.tables[0].double().numpy(), inputs.tables[1].double().numpy())
    expected = attention(query, key, value, case.heads, tau, tables, case.grid)
    np.testing.assert_allclose(merge_heads(attend_in(torch.float64, inputs)).numpy(), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("case", [PLAIN, RELATIVE])
def test_a_right_output_passes_and_a_wrong_or_unwritten_one_does_not(case: Case) -> None:
    inputs = inputs_of(case)
    right = merge_heads(attend_in(torch.float64, inputs)).half()
    assert Check("", *judge(right, inputs)).passed
    assert not Check("", *judge(right, inputs), problem="1 of 9 numbers differ").passed
    assert not Check("", *judge(right * 1.01, inputs)).passed
    unwritten = right.clone()
    unwritten[-1, -1, -1] = math.nan
    assert judge(unwritten, inputs)[0] == math.inf
    assert not Check("", *judge(unwritten, inputs)).passed


def test_a_failed_check_ends_the_run_before_anything_is_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("timed")

    generator = torch.Generator()
    monkeypatch.setattr(torch, "Generator", lambda device: generator)
    monkeypatch.setattr(attention_kernels, "_require_gpu", lambda: None)
    monkeypatch.setattr(attention_kernels, "describe_environment", lambda: {"date": "today", "capability": "9.0"})
    checks = [Check("good", 1e-4, 2e-4), Check("bad", math.inf, 2e-4), Check("last", 1e-4, 2e-4)]
    monkeypatch.setattr(attention_kernels, "check_errors", lambda *_: iter(checks))
    monkeypatch.setattr(attention_kernels, "check_ptx", lambda *_: iter(()))
    monkeypatch.setattr(attention_kernels, "measure_ceilings", refuse)
    monkeypatch.setattr(attention_kernels, "time_case", refuse)
    file = tmp_path / "out.jsonl"
    rows: list[KernelRow] = []
    assert not attention_kernels.benchmark(False, rows.append)
    printed = capsys.readouterr().out
    assert "| good | 1.00e-04 | 2.00e-04 | passed |" in printed
    assert "| bad | inf | 2.00e-04 | FAILED" in printed
    assert "| last |" in printed
    assert [(row.what, row.subject, row.values.get("error"), row.problem) for row in rows] == [
        ("check", "good", 1e-4, None),
        ("check", "bad", None, "error inf"),
        ("check", "last", 1e-4, None),
    ]
    assert {row.environment["capability"] for row in rows} == {"9.0"}
    for row in rows:
        append_row(file, row)
    assert read_rows([file]) == rows


def test_the_best_rival_is_the_fastest_that_makes_the_bias_itself() -> None:
    ours, slow, fast = row(OURS, 1.0), row("slow", 5.0), row("fast", 9.0, 4.0, 1.0)
    free, refused = row("free", 0.5, bias=False), row("refused", refused="no kernel")
    assert find_best_rival([ours, slow, free, refused, fast]) is fast
    assert find_best_rival([ours, free, refused]) is None


@pytest.mark.parametrize(
    ("case", "rival_ms", "cells"),
    [
        (PLAIN, 2.0, "1.00 x sdpa | >= 1.0: met |"),
        (PLAIN, 1.9, "0.95 x sdpa | >= 1.0: not met |"),
        (RELATIVE, 6.0, "3.00 x sdpa | >= 3.0: met |"),
        (RELATIVE, 5.0, "2.50 x sdpa | >= 3.0: not met |"),
    ],
)
def test_the_table_says_whether_the_goal_is_met(case: Case, rival_ms: float, cells: str) -> None:
    table = format_times([row(OURS, 2.0, case=case), row("sdpa", rival_ms, case=case)])
    first, second = table.splitlines()
    assert first.endswith(cells)
    assert second == f"| {case.title} | 1 | sdpa | {rival_ms:.4f} | {case.flops(1) / rival_ms / 1e9:.1f} |  |  |"
    assert TIMES_HEADER.count("\n") == 2
    assert {line.count("|") for line in (TIMES_HEADER + table).splitlines()} == {8}


def test_a_rival_that_refuses_is_a_row_with_its_reason() -> None:
    cudnn = next(rival for rival in make_rivals(relative=False) if "CUDNN" in rival.name)
    output, reason = attempt(partial(cudnn.call, inputs_of(PLAIN)))  # a CPU has no cuDNN
    assert output is None
    assert reason
    assert "\n" not in reason
    last = format_times([row(OURS, 1.0), row(cudnn.name, refused=reason)]).splitlines()[-1]
    assert last == f"| gate, N 37 | 1 | {cudnn.name} | - | - | {reason} |  |"


def test_a_reason_is_one_line_of_a_table_with_the_warnings_that_explain_it() -> None:
    def refuse() -> None:
        warnings.warn("Flash attention kernel not used because: (Triggered internally at a.cpp:1)", stacklevel=1)
        warnings.warn("Flash Attention does not support masks. (Triggered internally at a.cpp:2)", stacklevel=1)
        raise RuntimeError("No available | kernel.\n\nAborting.")

    assert attempt(refuse) == (None, "No available / kernel. Aborting.; Flash Attention does not support masks.")
    assert attempt(lambda: 3) == (3, "")


def test_rivals_compute_the_same_and_only_the_marked_ones_get_the_bias_for_free() -> None:
    inputs = inputs_of(RELATIVE)
    exact = attend_in(torch.float64, inputs)
    rivals = make_rivals(relative=True)
    outputs = {rival.name: attempt(partial(rival.call, inputs))[0] for rival in rivals if "sdpa" in rival.name}
    worked = [output for output in outputs.values() if output is not None]
    assert worked
    assert all(relative_error(output, exact) < 2e-3 for output in worked)
    assert {rival.name for rival in rivals if not rival.includes_bias} == {
        name for name in outputs if name.endswith("bias for free")
    }
    assert split_heads(inputs.query, 2).shape == exact.shape
