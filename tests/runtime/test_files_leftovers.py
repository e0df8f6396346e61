"""What runs killed without warning leave beside a folder is removed by a later one, and nothing else is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support.folders import MARKER, make_old_bundle

from briges.runtime.files import replacing_folder


def _aged(folder: Path, hours: float) -> Path:
    folder.mkdir()
    (folder / "weights").write_text("gigabytes")
    then = time.time() - hours * 3600
    os.utime(folder, (then, then))
    return folder


def test_only_our_own_leftovers_of_yesterday_are_removed(tmp_path: Path) -> None:
    abandoned = _aged(tmp_path / ".engine.briges-a2b4c5d6", hours=25)
    kept = [
        _aged(tmp_path / ".engine.briges-e1f2a3b4", hours=1),  # perhaps of a run that goes on
        _aged(tmp_path / ".engine.old-a1b2c3d4", hours=25),  # an old bundle that could not be put back
        _aged(tmp_path / ".engine.backup", hours=25),  # somebody's own
        _aged(tmp_path / ".engine.briges-notes", hours=25),
        _aged(tmp_path / ".engine2.briges-a2b4c5d6", hours=25),
    ]
    with replacing_folder(tmp_path / "engine", marker=MARKER) as temporary:
        (temporary / MARKER).write_text("new")
    assert not abandoned.exists()
    assert all((folder / "weights").exists() for folder in kept)


def test_the_name_of_a_folder_is_no_pattern(tmp_path: Path) -> None:
    other = _aged(tmp_path / ".engine1.briges-a2b4c5d6", hours=25)
    with replacing_folder(tmp_path / "engine[0-9]", marker=MARKER) as temporary:
        (temporary / MARKER).write_text("new")
    assert other.exists()


def test_old_folders_moved_aside_yesterday_are_removed_where_there_is_a_newer_one(tmp_path: Path) -> None:
    make_old_bundle(tmp_path / "engine")
    abandoned = _aged(tmp_path / ".engine.old-a1b2c3d4", hours=25)
    kept = [
        _aged(tmp_path / ".engine.old-e5f6a7b8", hours=1),
        _aged(tmp_path / ".engine.old-photos", hours=25),  # somebody's own
        _aged(tmp_path / ".engine2.old-a1b2c3d4", hours=25),
    ]
    with replacing_folder(tmp_path / "engine", marker=MARKER):
        assert not abandoned.exists()
    assert all((folder / "weights").exists() for folder in kept)


def test_an_old_folder_of_another_long_name_is_kept(tmp_path: Path) -> None:
    # Temporary names keep the first 40 characters: this may be the only copy of the folder n...n2.
    other = _aged(tmp_path / f".{'n' * 40}.old-a1b2c3d4", hours=25)
    make_old_bundle(tmp_path / ("n" * 40 + "1"))
    with replacing_folder(tmp_path / ("n" * 40 + "1"), marker=MARKER):
        pass
    assert other.exists()


def test_a_leftover_that_another_run_removes_first_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / ".engine.briges-a2b4c5d6"
    monkeypatch.setattr(Path, "glob", lambda *_: iter([gone]))  # as if it had been there a moment ago
    with replacing_folder(tmp_path / "engine", marker=MARKER) as temporary:
        (temporary / MARKER).write_text("new")
    assert (tmp_path / "engine" / MARKER).read_text() == "new"
