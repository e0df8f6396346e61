"""A device whose kernels Triton interprets: the host side and the kernels are tested together, without a GPU.

Triton decides on import whether kernels are interpreted: the variable must be there before the first import.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from triton.runtime.interpreter import InterpretedFunction

from briges.engines.images.variants import VARIANTS, ImageVariant
from briges.runtime.cuda.image_kernels import ImageKernels, SourceImage, read_kernels

INTERPRETED_BLOCK = 16384
_prepared: set[str] = set()


@pytest.fixture(autouse=True)
def _fast_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter prepares Triton's language anew for every call within a kernel, which takes milliseconds.

    Once per launch and module is enough.
    """
    slow = InterpretedFunction.__call__

    def call(self: Any, *args: Any, **named: Any) -> Any:
        if self.fn.__module__ not in _prepared:
            _prepared.add(self.fn.__module__)
            return slow(self, *args, **named)
        return self.rewrite()(*args, **named)

    monkeypatch.setattr(InterpretedFunction, "__call__", call)


class InterpretedKernel:
    def __init__(self, device: InterpretedDevice, variant: ImageVariant, parameters: Sequence[str]) -> None:
        module = importlib.import_module(f"briges.engines.images.{variant.module}")
        self.device, self.variant, self.parameters = device, variant, parameters
        self.function: Any = getattr(module, variant.function)

    def launch(self, grid: tuple[int, int, int], arguments: Sequence[int | float], stream: object) -> None:
        assert len(arguments) == len(self.parameters)
        assert list(arguments[-2:]) == [0, 0]  # the hidden ones
        converted: list[Any] = []
        for kind, value in zip(self.parameters[:-2], arguments[:-2], strict=True):
            if kind == "int32":
                assert isinstance(value, int)
            converted.append(self.device.tensors[int(value)] if kind == "pointer" else value)
        constants = {**self.variant.blocks, **self.variant.constants}
        if "_input_" in self.variant.name:
            constants["BLOCK"] = INTERPRETED_BLOCK
        _prepared.clear()
        # NumPy warns of what a GPU does silently: NaNs, and both sides of a where.
        with np.errstate(invalid="ignore", divide="ignore"):
            self.function[grid](*converted, **constants)


class InterpretedDevice:
    """The part of Device that ImageKernels needs; addresses are keys of ``tensors``."""

    def __init__(self) -> None:
        self.tensors: dict[int, torch.Tensor] = {}

    def load_kernel(
        self, ptx: bytes, entry: str, parameters: Sequence[str], threads: int, shared_bytes: int
    ) -> InterpretedKernel:
        by_hash = {kernel.sha256: name for name, kernel in read_kernels()[0].items()}
        name = by_hash[hashlib.sha256(ptx).hexdigest()]
        variant = next(variant for variant in VARIANTS if variant.name == name)
        assert (entry, threads) == (variant.function, variant.warps * 32)
        return InterpretedKernel(self, variant, parameters)

    def fill(self, destination: int, byte: int, size_bytes: int, stream: object) -> None:
        tensor = self.tensors[destination]
        assert tensor.nbytes == size_bytes
        tensor.view(torch.uint8).fill_(byte)

    def address(self, array: NDArray[Any]) -> int:
        """The address of ``array``, whose memory the kernels read and write."""
        pointer = 4096 + 256 * len(self.tensors)
        self.tensors[pointer] = torch.from_numpy(array)
        return pointer

    def source(self, image: NDArray[np.uint8], *, padding_bytes: int = 0, bgr: bool = False) -> SourceImage:
        """``image``, RGB, as the device has it: rows further apart, with rubbish between, or BGR."""
        height, width, _ = image.shape
        rows = np.full((height, width * 3 + padding_bytes), 171, np.uint8)
        rows[:, : width * 3] = (image[:, :, ::-1] if bgr else image).reshape(height, -1)
        return SourceImage(self.address(rows.reshape(-1)), height, width, rows.shape[1], bgr)


@pytest.fixture
def device() -> InterpretedDevice:
    return InterpretedDevice()


@pytest.fixture
def kernels(device: InterpretedDevice) -> ImageKernels:
    made = ImageKernels(device)  # type: ignore[arg-type]  # it has the part of a Device that they use
    # The interpreter takes as long for many pixels at once as for few.
    for name in [name for name in made._table if "_input_" in name]:
        made._table[name].blocks["BLOCK"] = INTERPRETED_BLOCK
    return made


@pytest.fixture
def address(device: InterpretedDevice) -> Callable[[NDArray[Any]], int]:
    return device.address
