"""The folder for temporary files: gone when it is not needed, and told where there is no place for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from briges.engines.temporary import temporary_folder
from briges.runtime.errors import OutputError


def fill(folder: Path) -> None:
    (folder / "graph.onnx").write_text("graph")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_is_filled_given_and_removed(place):
    with temporary_folder(fill) as folder:
        assert folder.parent == place
        assert (folder / "graph.onnx").read_text() == "graph"
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_it_is_removed_after_an_error_which_stays_as_it_is(place, error):
    with pytest.raises(type(error) if isinstance(error, OSError) else error), temporary_folder(fill):
        raise error
    assert list(place.iterdir()) == []


def test_a_full_disk_is_told_and_nothing_stays(place):
    def overfill(folder: Path) -> None:
        fill(folder)
        with open("/dev/full", "w") as stream:
            stream.write("graph")

    with pytest.raises(OutputError) as caught, temporary_folder(overfill):
        pass
    assert str(caught.value) == (
        "temporary files: cannot be written: No space left on device\n"
        "  expected: a writable folder with a few megabytes of free space\n"
        "  cure: free some space there, or name another folder in the variable TMPDIR"
    )
    assert list(place.iterdir()) == []


def test_no_place_at_all_is_told(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/dev/null/nowhere")
    with pytest.raises(OutputError, match="TMPDIR"), temporary_folder(fill):
        pass
