"""A shared library with the driver's C functions, compiled here: our calls cross a real C boundary, without a GPU."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = """
#include <stddef.h>
#include <stdio.h>
#include <string.h>
typedef int CUresult;
static int ready = 0;
CUresult cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
CUresult cuInit(unsigned flags) { if (flags) return 1; ready = INIT == 0; return INIT; }
CUresult cuGetErrorString(CUresult error, const char **text) {
    if (error == 100) { *text = "no CUDA-capable device is detected"; return 0; }
    *text = NULL; return 1;
}
CUresult cuDeviceGetCount(int *count) { if (!ready) return 3; *count = COUNT; return 0; }
CUresult cuDeviceGet(int *device, int ordinal) { if (ordinal >= COUNT) return 101; *device = ordinal + 40; return 0; }
CUresult cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, (size_t)length, "GPU number %d", device - 40); return 0;
}
#ifndef INCOMPLETE
CUresult cuDeviceTotalMem_v2(size_t *bytes, int device) {
    *bytes = ((size_t)device - 39) * 12 * 1024 * 1024 * 1024; return 0;
}
#endif
CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
    if (device < 40) return 101;
    if (attribute == 75) *value = device == 40 ? 8 : 12;
    else if (attribute == 76) *value = device == 40 ? 7 : 0;
    else return 1;
    return 0;
}
"""


def compile_driver(folder: Path, *, version: int, count: int, init: int = 0, incomplete: bool = False) -> str:
    """Compile a driver of ``count`` GPUs whose cuInit answers ``init``; skips where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    library = folder / "libcuda.so.1"
    (folder / "driver.c").write_text(_SOURCE)
    macros = [f"-DVERSION={version}", f"-DCOUNT={count}", f"-DINIT={init}", *(["-DINCOMPLETE"] if incomplete else [])]
    command = [compiler, "-shared", "-fPIC", *macros, str(folder / "driver.c"), "-o", str(library)]
    subprocess.run(command, check=True, capture_output=True)
    return str(library)
