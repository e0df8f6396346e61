"""TensorRT-RTX itself, as far as it goes without a GPU: what it cannot read, and where its log goes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from briges.runtime.cuda.tensorrt_library import Library
from briges.runtime.errors import BackendError
from briges.runtime.manifest import Engine

tensorrt_rtx: Any = pytest.importorskip("tensorrt_rtx")


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(tensorrt_rtx)


def record(file: str) -> Engine:
    return Engine("model", None, file, "0" * 64, (), (), None, None, {})


def test_its_name_is_that_of_the_module_and_the_release(library: Library) -> None:
    assert library.name == f"tensorrt_rtx {tensorrt_rtx.__version__}"


def test_what_is_no_engine_is_told_in_its_own_first_words(library: Library, tmp_path: Path) -> None:
    (tmp_path / "model.engine").write_bytes(bytes(4096))
    with pytest.raises(BackendError) as caught:
        library.load_engine(tmp_path / "model.engine", record("model.engine"), host_code=False)
    assert caught.value.came.startswith("it made no engine of model.engine: IRuntime::deserializeCudaEngine: ")
    assert "magicTag" in caught.value.came
    assert "`briges build`" in caught.value.cure


@pytest.mark.parametrize("present", [True, False])
def test_an_empty_or_absent_file_is_told_without_asking_it(library: Library, tmp_path: Path, present: bool) -> None:
    if present:
        (tmp_path / "model.engine").touch()
    with pytest.raises(BackendError, match=r"cannot read model\.engine: "):
        library.load_engine(tmp_path / "model.engine", record("model.engine"), host_code=False)


def test_its_log_goes_to_pythons(library: Library, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "model.engine").write_bytes(bytes(4096))
    with caplog.at_level(logging.DEBUG, "briges.tensorrt"), pytest.raises(BackendError):
        library.load_engine(tmp_path / "model.engine", record("model.engine"), host_code=False)
    levels = {entry.levelno for entry in caplog.records if entry.name == "briges.tensorrt"}
    assert {logging.DEBUG, logging.ERROR} <= levels
