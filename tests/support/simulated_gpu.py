"""Tests on a simulated GPU: NVIDIA's real Python bindings on a driver of our own, which is compiled here.

    @on_simulated_gpu(SIM_INTEGRATED=1)
    def test_something(tmp_path):
        with simulated() as gpu:
            ...

A driver is found by its name when it is first needed, and stays: so such a test runs in a process of its own, which
sees the driver, and pytest gets its outcome. Fixtures and parameters arrive as usual if JSON can carry them; paths do.
The driver's memory is the host's, and it is strict: an address outside of what is allocated, a call without a current
context and a stream that nobody waits for are errors or wrong results. It says nothing about speed, and cannot compile.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

SOURCES = Path(__file__).parent / "simulated_cuda"
_CHILD = "BRIGES_TEST_IN_CHILD"
KINDS = ("device_memory", "host_memory", "streams", "events", "graphs", "modules", "contexts")

Kernel = Callable[[tuple[int, ...], list[int]], None]  # grid, values of the parameters as the bits they are


@functools.cache
def driver_folder() -> Path:
    """The folder with ``libcuda.so.1``; skips where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    folder = Path(tempfile.mkdtemp(prefix="briges-driver-"))
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-fvisibility=hidden"]
    command += ["-Wl,-soname,libcuda.so.1", "-o", str(folder / "libcuda.so.1"), *map(str, SOURCES.glob("*.c"))]
    done = subprocess.run([*command, "-ldl", "-lpthread"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def on_simulated_gpu(**settings: object) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run the test where the driver is ours; ``settings`` are its variables, see memory.c."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**arguments: Any) -> None:
            if os.environ.get(_CHILD):
                test(**arguments)
                return
            pytest.importorskip("cuda.bindings")
            carried = {
                name: {"path": str(value)} if isinstance(value, Path) else value for name, value in arguments.items()
            }
            done = subprocess.run(
                [sys.executable, __file__, test.__code__.co_filename, test.__name__, json.dumps(carried)],
                env={
                    **os.environ,
                    "LD_LIBRARY_PATH": str(driver_folder()),
                    "PYTHONPATH": str(Path(__file__).parents[1]),
                    _CHILD: "1",
                    **{name: str(value) for name, value in settings.items()},
                },
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            print(done.stdout)
            if done.returncode:
                pytest.fail(done.stderr, pytrace=False)

        return run

    return decorate


class SimulatedGpu:
    """What a test asks of the driver, and orders."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL("libcuda.so.1")
        self._library.sim_live.restype = ctypes.c_long
        self._library.sim_room.restype = ctypes.c_size_t
        self._library.sim_room.argtypes = (ctypes.c_uint64,)
        prototype = ctypes.CFUNCTYPE(
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.POINTER(ctypes.c_uint),
            ctypes.POINTER(ctypes.c_uint),
            ctypes.c_int,
            ctypes.POINTER(ctypes.c_uint64),
        )
        self._callback = prototype(self._launched)
        self._library.sim_set_launcher(self._callback)
        self.kernels: dict[str, Kernel] = {}
        self.launched: list[str] = []
        self.failure: BaseException | None = None

    def live(self) -> dict[str, int]:
        """How many of each kind are there and were not given back."""
        return {kind: self._library.sim_live(index) for index, kind in enumerate(KINDS)}

    def fail(self, function: str, code: int, after: int = 0) -> None:
        """Let the driver's ``function`` answer ``code`` once, ``after`` so many calls that succeed."""
        self._library.sim_fail(function.encode(), code, after)

    def memory(self, address: int, dtype: Any, count: int = -1) -> NDArray[Any]:
        """What lies at an address, to the end of its allocation or ``count`` elements of it."""
        room = self._library.sim_room(address)
        assert room, f"{address:#x} is in no allocation"
        held: Any = (ctypes.c_uint8 * room).from_address(address)
        return np.frombuffer(held, dtype, count if count >= 0 else room // np.dtype(dtype).itemsize)

    def _launched(self, name: bytes, ptx: bytes, grid: Any, _block: Any, count: int, values: Any) -> int:
        try:
            self.launched.append(name.decode())
            kernel = self.kernels.get(name.decode()) or self.kernels[ptx.decode()]
            kernel(tuple(grid[:3]), list(values[:count]))
        except BaseException as error:  # it must not cross the C boundary
            self.failure = self.failure or error
            return 1
        return 0


@contextlib.contextmanager
def simulated() -> Iterator[SimulatedGpu]:
    """The driver of this process; raises what went wrong inside a kernel."""
    gpu = SimulatedGpu()
    try:
        yield gpu
    finally:
        if gpu.failure is not None:
            raise gpu.failure


def number(bits: int, kind: str) -> int | float:
    """The value of a parameter from its bits."""
    if kind == "float32":
        return float(np.uint32(bits & 0xFFFFFFFF).view(np.float32))
    return int(np.uint32(bits & 0xFFFFFFFF).view(np.int32)) if kind == "int32" else bits


def _main(arguments: Sequence[str]) -> None:
    file, name, carried = arguments
    specification = importlib.util.spec_from_file_location("the_test", file)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    values = {
        key: Path(value["path"]) if isinstance(value, dict) else value for key, value in json.loads(carried).items()
    }
    getattr(module, name)(**values)


if __name__ == "__main__":
    _main(sys.argv[1:])
