from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.folders import contents

from briges.engines.offline import seal
from briges.engines.offline_folder import OFFLINE_SCHEMA, RECORD_FILE, OfflineBundle, replacing_tree
from briges.engines.offline_texts import readme
from briges.runtime.errors import OutputError

EMPTY = OfflineBundle(OFFLINE_SCHEMA, "linux-x86_64", "0.1.0", "3.11", "x86_64", 13, False, (), {})


def make(path: Path, text: str, error: type[BaseException] | None = None) -> None:
    """Write a bundle of ours whose one payload is ``text``, or fail with ``error`` after it."""
    with replacing_tree(path) as work:
        (work / "wheels").mkdir()
        (work / "wheels" / "payload").write_text(text)
        if error:
            raise error
        seal(work, EMPTY)


def write_to_full_disk(path: Path) -> None:
    """Write a bundle where the kernel answers every write with ENOSPC."""
    with replacing_tree(path) as work:
        (work / "wheel").symlink_to("/dev/full")
        (work / "wheel").write_text("text")


def test_a_folder_of_ours_is_replaced_as_a_whole(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")
    make(tmp_path / "out", "new")
    assert (tmp_path / "out" / "wheels" / "payload").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_foreign_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(OutputError) as caught, replacing_tree(tmp_path):
        pytest.fail("the block ran")
    assert "exists and was not made by this tool" in str(caught.value)
    assert f"expected: a new or empty folder, or one that holds {RECORD_FILE}" in str(caught.value)
    assert contents(tmp_path) == {"thesis.tex": "years"}


@pytest.mark.parametrize("name", ["notes.txt", "wheels/mine.whl", "venv/pyvenv.cfg"])
def test_one_of_ours_that_holds_somebodys_file_is_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path / "out", "old")
    (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(OutputError, match=f"such as {name}"):
        make(tmp_path / "out", "new")
    assert (tmp_path / "out" / "wheels" / "payload").read_text() == "old"


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="exists and is no folder"):
        make(tmp_path / "out", "new")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupted_one_leaves_the_old_one_and_nothing_half(tmp_path: Path, error: type[BaseException]) -> None:
    make(tmp_path / "out", "old")
    before = contents(tmp_path)
    with pytest.raises(error):
        make(tmp_path / "out", "half", error)
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_an_output_error_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cure: free some space"):
        write_to_full_disk(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_readme_says_what_is_in_the_folder_and_what_is_not() -> None:
    packed = readme(dataclasses.replace(EMPTY, target="jetson-jp6", plugin=True, included=("v2-b-model",)))
    assert "for Jetson Orin with JetPack 6.1 to 6.2.2" in packed
    assert "build/plugin holds the attention plugin's compiled kernels" in packed
    assert "  included/v2-b-model\n" in packed
    bare = readme(EMPTY)
    assert "No attention plugin is in here" in bare
    assert "included/" not in bare
