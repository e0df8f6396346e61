"""Files are whole or absent, whatever happens while they are written; and nobody else's files are touched."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from briges.runtime.errors import OutputError
from briges.runtime.files import replacing, replacing_folder, sha256_of, write_text

MARKER = "manifest.json"


def contents(folder: Path) -> dict[str, str]:
    """Every file below ``folder``, hidden ones too, with its text."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def make_old_bundle(folder: Path) -> Path:
    folder.mkdir()
    (folder / MARKER).write_text("old")
    return folder


def write_half(path: Path) -> None:
    path.write_text("half")
    raise ZeroDivisionError


def write_to_full_disk(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/full")  # where the kernel answers every write with ENOSPC
    path.write_text("half")


def run_child(code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def kill_when_half_written(code: str, *arguments: Path) -> None:
    """Run ``code`` until it prints a line, then end it as `kill -9` does."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half written\n"
        child.kill()
    assert child.returncode == -signal.SIGKILL


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path):
    path = tmp_path / "new" / "folders" / "depth.npy"
    with replacing(path) as temporary:
        assert temporary.suffix == ".npy"  # writers choose the format by it
        assert temporary.parent == path.parent
        temporary.write_text("depth")
        assert not path.exists()
    assert contents(tmp_path) == {"new/folders/depth.npy": "depth"}


def test_an_error_in_the_block_keeps_the_old_file(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file") as temporary:
        write_half(temporary)
    assert contents(tmp_path) == {"file": "old"}


def test_ctrl_c_in_the_block_keeps_the_old_file(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "file"):
        raise KeyboardInterrupt
    assert contents(tmp_path) == {"file": "old"}


def test_a_kill_in_the_block_keeps_the_old_file(tmp_path):
    code = """
import sys, time
from pathlib import Path
from briges.runtime.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("half written", flush=True)
    time.sleep(60)
"""
    path = tmp_path / "file"
    kill_when_half_written(code, path)
    assert not path.exists()
    path.write_text("old")
    kill_when_half_written(code, path)
    assert path.read_text() == "old"


def test_files_and_folders_get_the_permissions_of_the_umask(tmp_path):
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "text")
        with replacing_folder(tmp_path / "folder", marker=MARKER):
            pass
    finally:
        os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_text_is_utf_8(tmp_path):
    write_text(tmp_path / "file", "Tiefe …")
    assert (tmp_path / "file").read_bytes() == "Tiefe …".encode()


@pytest.mark.parametrize("name", ["n" * 255, "ü" * 120 + ".png"])
def test_the_longest_names_the_file_system_has_can_be_written(tmp_path, name):
    write_text(tmp_path / name, "text")
    with replacing_folder(tmp_path / "sub" / name, marker=MARKER) as folder:
        (folder / MARKER).write_text("first")
    with replacing_folder(tmp_path / "sub" / name, marker=MARKER) as folder:
        (folder / MARKER).write_text("second")
    assert contents(tmp_path) == {name: "text", f"sub/{name}/{MARKER}": "second"}


def test_a_full_disk_is_an_output_error_with_its_cure(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError) as caught, replacing(tmp_path / "file") as temporary:
        write_to_full_disk(temporary)
    assert str(caught.value) == (
        f"output {tmp_path}/file: cannot be written: No space left on device\n"
        "  expected: a writable place with enough free space\n"
        "  cure: free some space or choose another disk with --out"
    )
    assert contents(tmp_path) == {"file": "old"}


def test_a_file_larger_than_allowed_is_an_output_error_with_its_cure(tmp_path):
    code = """
import resource, sys
from pathlib import Path
from briges.runtime.errors import OutputError
from briges.runtime.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_text(Path(sys.argv[1]), "x" * 5000)
except OutputError as error:
    print(error.came, error.cure, sep="|")
"""
    (tmp_path / "file").write_text("old")
    assert run_child(code, tmp_path / "file").stdout == (
        "cannot be written: File too large|"
        "the file is larger than that disk or this user may hold: choose another disk with --out\n"
    )
    assert contents(tmp_path) == {"file": "old"}


@pytest.mark.parametrize("below", ["file/new", "file/new/deeper"])
def test_a_path_below_a_file_is_refused_with_its_cure(tmp_path, below):
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError) as caught:
        write_text(tmp_path / below, "text")
    assert caught.value.subject == f"output {tmp_path / below}"
    assert caught.value.cure == "part of that path is a file: choose another folder with --out"
    with (
        pytest.raises(OutputError, match="part of that path is a file"),
        replacing_folder(tmp_path / below, marker=MARKER),
    ):
        pass
    assert contents(tmp_path) == {"file": "old"}


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").write_text("mine")
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        write_text(tmp_path / "folder", "text")
    assert contents(tmp_path) == {"folder/kept": "mine"}


@pytest.mark.parametrize("existing", ["nothing", "an empty folder", "an old bundle"])
def test_a_folder_appears_when_the_block_ends_and_not_before(tmp_path, existing):
    path = tmp_path / "engine"
    if existing == "an empty folder":
        path.mkdir()
    elif existing == "an old bundle":
        (make_old_bundle(path) / "leftover").write_text("old")
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
    assert contents(tmp_path) == {f"engine/{MARKER}": "old"}
    assert os.listdir(tmp_path) == ["engine"]


def test_a_full_disk_in_the_block_keeps_the_old_folder(tmp_path):
    make_old_bundle(tmp_path / "engine")
    with pytest.raises(OutputError) as caught, replacing_folder(tmp_path / "engine", marker=MARKER):
        Path("/dev/full").write_text("half")
    assert caught.value.cure == "free some space or choose another disk with --out"
    assert contents(tmp_path) == {f"engine/{MARKER}": "old"}


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
    assert contents(path) == {MARKER: "old"}


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
    assert contents(tmp_path) == {f"engine/{MARKER}": "old"}
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


@pytest.mark.parametrize("size", [0, 1, 1 << 22, (1 << 22) + 1])
def test_the_hash_is_that_of_the_whole_file(tmp_path, size):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()
