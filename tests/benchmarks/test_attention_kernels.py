"""The GPU benchmark of the attention kernel, as far as it goes without a GPU."""

from __future__ import annotations

import ctypes
import dataclasses
import math
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from support.commands import run_python

from briges.benchmarks.attention_kernels import Check, find_variant, kernel_arguments, main, pack_arguments
from briges.benchmarks.attention_rivals import (
    CASES,
    OURS,
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
    time_in_turns,
)
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
    code = "import sys; from briges.benchmarks.attention_kernels import main; sys.exit(main(sys.argv[1:]))"
    os_environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    assert os_environment["CUDA_VISIBLE_DEVICES"] == ""
    done = run_python(f"import os; os.environ['CUDA_VISIBLE_DEVICES'] = ''; {code}", "--json", tmp_path / "out.jsonl")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("the attention benchmark: PyTorch ")
    assert "finds no NVIDIA GPU\n  expected: one of compute capability 7.5 or newer" in done.stderr
    assert "\n  cure: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
