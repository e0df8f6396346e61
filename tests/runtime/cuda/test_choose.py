"""Which package drives the GPU, and what is said where none can."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.simulated_gpu import on_simulated_gpu, simulated

from briges.runtime.cuda.choose import VARIABLE, open_device
from briges.runtime.errors import BackendError, MissingExtraError, UnknownNameError, UsageError
from briges.runtime.gpu import read_driver

CUDA_PYTHON = ("cuda.bindings", "cuda.cuda")
NO_LIBRARY = "libcuda.so.1: cannot open shared object file: No such file or directory"


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def pycuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of that name which fails as pycuda does where there is no driver."""
    (tmp_path / "pycuda").mkdir()
    (tmp_path / "pycuda" / "__init__.py").touch()
    (tmp_path / "pycuda" / "driver.py").write_text(f"raise ImportError({NO_LIBRARY!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    held = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "pycuda"}
    yield
    sys.modules.pop("pycuda", None)
    sys.modules.update(held)


def uninstall(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """As the import system knows what is not there."""
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def test_a_negative_number_is_refused_before_anything_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch, *CUDA_PYTHON, "pycuda")
    with pytest.raises(UsageError) as caught:
        open_device(-1)
    assert (caught.value.subject, caught.value.came, caught.value.expected) == ("device", "-1", "0 or more")


def test_another_package_is_refused_with_the_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "cuda_python")
    with pytest.raises(UnknownNameError) as caught:
        open_device()
    assert caught.value.subject == f"variable {VARIABLE}"
    assert caught.value.expected == "one of cuda-python, pycuda"
    assert caught.value.cure == "did you mean 'cuda-python'?"


def test_without_either_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch, *CUDA_PYTHON, "pycuda")
    with pytest.raises(MissingExtraError) as caught:
        open_device()
    assert caught.value.came == "neither cuda-python nor pycuda is installed"
    assert caught.value.cure == "pip install 'briges-trt[cuda]'"


@pytest.mark.parametrize(("asked", "extra"), [("cuda-python", "cuda"), ("pycuda", "pycuda")])
def test_the_one_that_was_asked_for_is_not_replaced_by_the_other(
    asked: str, extra: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if asked == "cuda-python":
        request.getfixturevalue("pycuda")
    uninstall(monkeypatch, *(CUDA_PYTHON if asked == "cuda-python" else ["pycuda"]))
    monkeypatch.setenv(VARIABLE, asked)
    with pytest.raises(MissingExtraError) as caught:
        open_device()
    assert caught.value.came == f"{VARIABLE}={asked}, which is not installed"
    assert caught.value.expected == asked
    assert caught.value.cure == f"pip install 'briges-trt[{extra}]'"


@pytest.mark.usefixtures("pycuda")
def test_pycuda_is_taken_where_only_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch, *CUDA_PYTHON)
    with pytest.raises(BackendError) as caught:
        open_device()
    assert caught.value.came == f"the NVIDIA driver cannot be loaded: {NO_LIBRARY}"


@pytest.mark.usefixtures("pycuda")
def test_pycuda_is_taken_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "pycuda")
    with pytest.raises(BackendError) as caught:
        open_device()
    assert NO_LIBRARY in caught.value.came


@pytest.mark.skipif(read_driver().cuda is not None, reason="there is a driver here")
def test_without_a_driver_the_bundle_for_the_cpu_is_named() -> None:
    pytest.importorskip("cuda.bindings")
    with pytest.raises(BackendError) as caught:
        open_device()
    assert caught.value.came.startswith("the NVIDIA driver cannot be loaded: ")
    assert "\n" not in caught.value.came
    assert "--flavour onnxruntime" in caught.value.cure


@on_simulated_gpu(SIM_DEVICES=2)
def test_cuda_python_is_taken_and_a_gpu_that_is_not_there_is_told_with_those_that_are() -> None:
    with simulated():
        device = open_device(1)
        assert device.package.startswith("cuda-python ")
        assert device.name == "Simulated GPU 1"
        device.close()
        with pytest.raises(BackendError) as caught:
            open_device(2)
        assert caught.value.came == "GPU number 2 was asked for, and they are 0 to 1 here"


@on_simulated_gpu(SIM_DEVICES=0)
def test_a_driver_without_a_gpu_is_not_called_a_missing_driver() -> None:
    with simulated(), pytest.raises(BackendError) as caught:
        open_device()
    assert caught.value.came == "the driver finds no GPU: CUDA_ERROR_NO_DEVICE, error 100"
    assert "--gpus all" in caught.value.cure
