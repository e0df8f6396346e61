"""A folder is replaced whole or not at all, and only if everything in it is ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.folders import (
    MARKER,
    OLD,
    bundle_contents,
    contents,
    kill_when_half_written,
    make_old_bundle,
    write_half,
)

from briges.runtime.errors import OutputError
from briges.runtime.files import replacing_folder


@pytest.mark.parametrize("existing", ["nothing", "an empty folder", "an old bundle"])
def test_a_folder_appears_when_the_block_ends_and_not_before(tmp_path, existing):
    path = tmp_path / "engine"
    if existing == "an empty folder":
        path.mkdir()
    elif existing == "an old bundle":
        make_old_bundle(path)
    before = contents(tmp_path)
    with replacing_folder(path, marker=MARKER) as temporary:
        assert temporary.parent == path.parent
        (temporary / MARKER).write_text("new")
        assert {name: text for name, text in contents(tmp_path).items() if text != "new"} == before
    assert contents(tmp_path) == {f"engine/{MARKER}": "new"}
    assert os.listdir(tmp_path) == ["engine"]


def test_a_foreign_folder_is_refused_and_untouched(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(OutputError) as caught, replacing_folder(tmp_path / "thesis", marker=MARKER):
        pytest.fail("the block must not start")
    assert str(caught.value) == (
        f"output {tmp_path}/thesis: exists and was not made by this tool\n"
        f"  expected: a new or empty folder, or one that holds {MARKER}\n"
        "  cure: choose another folder with --out"
    )
    assert contents(tmp_path) == {"thesis/chapter.tex": "years of work"}


def test_a_file_or_a_device_in_the_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("old")
    os.mkfifo(tmp_path / "pipe")  # stands for /dev/null: neither file nor folder
    for name in ("file", "pipe"):
        with (
            pytest.raises(OutputError, match="exists and was not made by this tool"),
            replacing_folder(tmp_path / name, marker=MARKER),
        ):
            pytest.fail("the block must not start")
    assert sorted(os.listdir(tmp_path)) == ["file", "pipe"]


def test_an_error_in_the_block_keeps_the_old_folder(tmp_path):
    make_old_bundle(tmp_path / "engine")
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "engine", marker=MARKER) as temporary:
        write_half(temporary / MARKER)
    assert contents(tmp_path) == bundle_contents("engine")
    assert os.listdir(tmp_path) == ["engine"]


def test_a_full_disk_in_the_block_keeps_the_old_folder(tmp_path):
    make_old_bundle(tmp_path / "engine")
    with pytest.raises(OutputError) as caught, replacing_folder(tmp_path / "engine", marker=MARKER):
        Path("/dev/full").write_text("half")
    assert caught.value.cure == "free some space or choose another disk with --out"
    assert contents(tmp_path) == bundle_contents("engine")


def test_a_kill_in_the_block_keeps_the_old_folder(tmp_path):
    code = """
import sys, time
from pathlib import Path
from briges.runtime.files import replacing_folder
with replacing_folder(Path(sys.argv[1]), marker="manifest.json") as temporary:
    (temporary / "manifest.json").write_text("half")
    print("half written", flush=True)
    time.sleep(60)
"""
    path = tmp_path / "engine"
    kill_when_half_written(code, path)
    assert not path.exists()
    make_old_bundle(path)
    kill_when_half_written(code, path)
    assert contents(tmp_path / "engine") == {MARKER: OLD, "model.onnx": "old"}


@pytest.mark.parametrize("failure", [OSError("the last rename failed"), KeyboardInterrupt()])
def test_the_old_folder_comes_back_if_the_last_rename_fails(tmp_path, monkeypatch, failure):
    # Nothing makes the file system refuse only this rename, so it is refused here.
    path, rename = make_old_bundle(tmp_path / "engine"), Path.rename

    def refuse_the_new_one(self: Path, target: Path) -> Path:
        if target == path and (self / "new").exists():
            raise failure
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_the_new_one)
    with (
        pytest.raises((OutputError, KeyboardInterrupt)),
        replacing_folder(path, marker=MARKER) as temporary,
    ):
        (temporary / "new").write_text("new")
    assert contents(tmp_path) == bundle_contents("engine")
    assert os.listdir(tmp_path) == ["engine"]


def test_the_current_folder_can_be_replaced(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with replacing_folder(Path("."), marker=MARKER) as temporary:
        (temporary / MARKER).write_text("new")
    assert contents(tmp_path) == {f"here/{MARKER}": "new"}


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    make_old_bundle(tmp_path / "large-disk")
    (tmp_path / "engine").symlink_to("large-disk")
    with replacing_folder(tmp_path / "engine", marker=MARKER) as temporary:
        (temporary / MARKER).write_text("new")
    assert (tmp_path / "engine").is_symlink()
    assert contents(tmp_path / "large-disk") == {MARKER: "new"}


def refused(folder: Path) -> OutputError:
    before = contents(folder)
    with pytest.raises(OutputError) as caught, replacing_folder(folder, marker=MARKER):
        pytest.fail("the block must not start")
    assert contents(folder) == before
    assert caught.value.subject == f"output {folder}"
    assert caught.value.cure == "choose another folder with --out"
    return caught.value


@pytest.mark.parametrize(
    "marker",
    [
        "",
        "an older model",
        "[]",
        "[" * 100_000,
        '{"manifest_version": 3, "name": "My web app", "files": {}}',
        '{"schema_version": 1}',
        '{"schema_version": 1, "files": ["index.html"]}',
    ],
    ids=["empty", "text", "list", "deep", "web-app", "no-files", "files-not-an-object"],
)
def test_a_folder_with_a_marker_of_another_tool_is_refused_and_untouched(tmp_path, marker):
    (tmp_path / MARKER).write_text(marker)
    assert refused(tmp_path).came == f"exists and its {MARKER} was not made by this tool, or is damaged"
    (tmp_path / "index.html").write_text("mine")
    assert refused(tmp_path).expected == f"a new or empty folder, or one that holds a {MARKER} of this tool"


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "sub/notes.txt", "a/model.onnx"])
def test_a_bundle_with_somebodys_files_in_it_is_refused_and_untouched(tmp_path, name):
    theirs = make_old_bundle(tmp_path / "engine") / name
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("mine")
    error = refused(tmp_path / "engine")
    assert error.came == f"exists and holds other files than this tool wrote, such as {name.split('/')[0]}"
    assert error.expected == f"a new or empty folder, or one that holds only {MARKER} and the files it lists"


def test_a_subfolder_of_the_name_of_a_listed_file_is_somebodys_own(tmp_path):
    bundle = make_old_bundle(tmp_path / "engine")
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").mkdir()
    (bundle / "model.onnx" / "notes.txt").write_text("mine")
    assert refused(bundle).came == "exists and holds other files than this tool wrote, such as model.onnx"


@pytest.mark.parametrize("existing", ["an empty folder", "an old bundle"])
def test_files_that_came_while_the_block_ran_are_kept(tmp_path, existing):
    path = tmp_path / "engine"
    path.mkdir() if existing == "an empty folder" else make_old_bundle(path)
    before = contents(path)

    def write_both(temporary: Path) -> None:
        (temporary / MARKER).write_text("new")
        (path / "notes.txt").write_text("mine")

    with pytest.raises(OutputError, match=r"exists and"), replacing_folder(path, marker=MARKER) as temporary:
        write_both(temporary)
    assert contents(path) == before | {"notes.txt": "mine"}
    assert os.listdir(tmp_path) == ["engine"]


def test_a_bundle_that_lost_a_file_is_replaced(tmp_path):
    (make_old_bundle(tmp_path / "engine") / "model.onnx").unlink()
    with replacing_folder(tmp_path / "engine", marker=MARKER) as temporary:
        (temporary / MARKER).write_text("new")
    assert contents(tmp_path) == {f"engine/{MARKER}": "new"}


def test_a_name_the_file_system_cannot_have_is_an_output_error(tmp_path):
    with (
        pytest.raises(OutputError, match="File name too long"),
        replacing_folder(tmp_path / ("n" * 5000), marker=MARKER),
    ):
        pytest.fail("the block must not start")
