"""What runs killed without warning leave beside a folder is removed by a later one, and nothing else is."""

from __future__ import annotations

import os
import time
from pathlib import Path

from briges.runtime.files import replacing_folder

MARKER = "manifest.json"


def _aged(folder: Path, hours: float) -> Path:
    folder.mkdir()
    (folder / "weights").write_text("gigabytes")
    then = time.time() - hours * 3600
    os.utime(folder, (then, then))
    return folder


def test_only_our_own_leftovers_of_yesterday_are_removed(tmp_path: Path) -> None:
    abandoned = _aged(tmp_path / ".engine.briges-k2j4h5g6", hours=25)
    kept = [
        _aged(tmp_path / ".engine.briges-x1y2z3a4", hours=1),  # perhaps of a run that goes on
        _aged(tmp_path / ".engine.old-a1b2c3d4", hours=25),  # an old bundle that could not be put back
        _aged(tmp_path / ".engine.backup", hours=25),  # somebody's own
        _aged(tmp_path / ".engine2.briges-k2j4h5g6", hours=25),
    ]
    with replacing_folder(tmp_path / "engine", marker=MARKER) as temporary:
        (temporary / MARKER).write_text("new")
    assert not abandoned.exists()
    assert all((folder / "weights").exists() for folder in kept)


def test_the_name_of_a_folder_is_no_pattern(tmp_path: Path) -> None:
    other = _aged(tmp_path / ".engine1.briges-k2j4h5g6", hours=25)
    with replacing_folder(tmp_path / "engine[0-9]", marker=MARKER) as temporary:
        (temporary / MARKER).write_text("new")
    assert other.exists()
