"""Which package drives the GPU: cuda-python, or pycuda where only that is installed."""

from __future__ import annotations

import importlib.util
import os

from briges.runtime.cuda.device import Device
from briges.runtime.errors import MissingExtraError, UsageError, unknown_name

VARIABLE = "BRIGES_CUDA"
_PACKAGES = {"cuda-python": ("cuda.bindings", "cuda.cuda"), "pycuda": ("pycuda",)}


def open_device(index: int = 0) -> Device:
    """Open GPU number ``index`` with the package that the variable BRIGES_CUDA names, or the first that is installed.

    Raises MissingExtraError if it is not, UsageError for another name or a negative number, BackendError if there is
    no such GPU or no driver.
    """
    if index < 0:
        raise UsageError(subject="device", came=str(index), expected="0 or more", cure="0 is the first GPU")
    if _choose() == "pycuda":
        from briges.runtime.cuda.pycuda_device import PycudaDevice

        return PycudaDevice(index)
    from briges.runtime.cuda.cuda_python_device import CudaPythonDevice

    return CudaPythonDevice(index)


def _choose() -> str:
    asked = os.environ.get(VARIABLE, "")
    if asked and asked not in _PACKAGES:
        raise unknown_name(f"variable {VARIABLE}", asked, _PACKAGES)
    for package in [asked] if asked else _PACKAGES:
        if any(_is_installed(module) for module in _PACKAGES[package]):
            return package
    raise MissingExtraError(
        subject="CUDA",
        came=f"{VARIABLE}={asked}, which is not installed" if asked else "neither cuda-python nor pycuda is installed",
        expected=" or ".join([asked] if asked else _PACKAGES),
        cure=f"pip install 'briges-trt[{'pycuda' if asked == 'pycuda' else 'cuda'}]'",
    )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the parent package is not there
        return False
