"""Files are whole or absent, whatever happens while they are written; and nobody else's files are touched."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.folders import MARKER, OLD, contents, kill_when_half_written, write_half

from briges.runtime.errors import OutputError
from briges.runtime.files import replacing, replacing_folder, sha256_of, translated, write_text


def write_to_full_disk(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/full")  # where the kernel answers every write with ENOSPC
    path.write_text("half")


def run_child(code: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


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
        (folder / MARKER).write_text(OLD)
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


@pytest.mark.parametrize("size", [0, 1, 1 << 22, (1 << 22) + 1])
def test_the_hash_is_that_of_the_whole_file(tmp_path, size):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EIO, "Input/output error"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/photos/source.jpg"),
        PermissionError(errno.EACCES, "Permission denied", "/photos/source.jpg"),
        OSError("image file is truncated"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
    ],
    ids=["bare-EIO", "source-missing", "source-unreadable", "no-errno", "broken-pipe"],
)
def test_an_error_of_reading_or_of_the_terminal_is_not_called_one_of_the_output(tmp_path, error):
    with pytest.raises(OSError, match=re.escape(str(error))) as caught, replacing(tmp_path / "file"):
        raise error
    assert caught.value is error
    with pytest.raises(OSError, match=re.escape(str(error))) as caught, replacing_folder(tmp_path / "f", marker=MARKER):
        raise error
    assert caught.value is error
    assert os.listdir(tmp_path) == []


def test_a_source_that_cannot_be_copied_is_not_called_an_error_of_the_output(tmp_path):
    (tmp_path / "source").symlink_to("/proc/self/mem")  # root may read every file, but not the start of its own memory
    with pytest.raises(OSError, match="Input/output error"), replacing_folder(tmp_path / "f", marker=MARKER) as folder:
        shutil.copyfile(tmp_path / "source", folder / "copy")


def test_what_the_temporary_path_refuses_is_an_error_of_the_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_to_a_folder(path: Path) -> None:
        path.unlink()
        path.mkdir()
        path.resolve().write_text("x")  # named in another way than it was given

    with pytest.raises(OutputError, match="cannot be written: Is a directory"), replacing(Path("file")) as temporary:
        write_to_a_folder(temporary)
    with pytest.raises(OutputError, match="No such file"), replacing_folder(Path("f"), marker=MARKER) as folder:
        (folder / "nowhere" / "file").write_bytes(b"x")


def test_a_full_disk_is_one_for_a_writer_that_gives_no_error_number(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"), replacing(tmp_path / "file"):
        np.zeros(100_000).tofile("/dev/full")


def test_a_pipe_whose_reader_has_gone_is_never_an_error_of_the_output(tmp_path):
    with pytest.raises(BrokenPipeError), translated(tmp_path / "file"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
