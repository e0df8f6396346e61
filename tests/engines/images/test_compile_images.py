"""The committed PTX is what the sources compile to, and small."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from briges.engines.images import compile_images
from briges.engines.images.variants import VARIANTS
from briges.runtime.cuda.kernel_table import TABLE_FILE, KernelTable
from briges.runtime.records import from_object, parse_json

COMMITTED = compile_images.OUTPUT


def table_of(folder: Path) -> KernelTable:
    return from_object(KernelTable, parse_json((folder / TABLE_FILE).read_bytes()))


def test_the_committed_kernels_are_of_these_sources():
    table = table_of(COMMITTED)
    assert table.source_sha256 == compile_images.source_sha256()
    assert list(table.kernels) == [variant.name for variant in VARIANTS]
    files = {kernel.file for kernel in table.kernels.values()}
    assert {file.name for file in COMMITTED.iterdir()} == files | {TABLE_FILE}


def test_compiling_again_gives_the_committed_kernels(tmp_path):
    if metadata.version("triton") != table_of(COMMITTED).triton:
        pytest.skip("another version of Triton compiled the committed kernels")
    code = (
        "import pathlib, sys; from briges.engines.images.compile_images import compile_images;"
        "compile_images(pathlib.Path(sys.argv[1]))"
    )
    # In a process of its own: in this one Triton interprets.
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    subprocess.run([sys.executable, "-c", code, tmp_path], env=environment, check=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        file.name: file.read_bytes() for file in COMMITTED.iterdir()
    }


def test_the_kernels_are_for_every_gpu_small_and_without_paths():
    texts = [file.read_text("ascii") for file in COMMITTED.glob("*.ptx")]
    assert sum(map(len, texts)) < 300_000
    for text in texts:
        assert re.search(r"^\.version 8\.0$", text, re.MULTILINE)
        assert re.search(r"^\.target sm_75$", text, re.MULTILINE)
        assert ".loc" not in text
        assert "/" not in re.sub(r"//.*", "", text)
