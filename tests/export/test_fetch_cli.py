"""`briges fetch` says what it brought, under which licence, and where to use it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from briges.export.fetch_cli import fetch
from briges.export.public_weights import PUBLIC_WEIGHTS
from briges.runtime.errors import DownloadError, UnknownNameError, UsageError


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mirror of three small stand-ins; the table expects them while the test runs."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name in ("depth-anything-v1-b", "depth-anything-v2-b", "sam-vit-b"):
        body = name.encode() * 100
        weight = PUBLIC_WEIGHTS[name]
        (folder / weight.file_name).write_bytes(body)
        small = dataclasses.replace(weight, bytes=len(body), sha256=hashlib.sha256(body).hexdigest())
        monkeypatch.setitem(PUBLIC_WEIGHTS, name, small)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    handler = functools.partial(_QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(fetch, arguments)


def test_without_a_name_all_files_are_listed_with_size_and_licence():
    result = run()
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "LICENCE"]
    assert [line.split()[0] for line in lines[1:9]] == list(PUBLIC_WEIGHTS)
    large = next(line for line in lines if line.startswith("depth-anything-v2-l"))
    assert large.split(maxsplit=3)[1:3] == ["1,341", "MB"]
    assert "CC-BY-NC-4.0" in large
    assert "no commercial use" in large


def test_the_path_comes_first_and_the_file_is_in_the_cache(mirror, tmp_path):
    result = run("sam-vit-b", "--base-url", mirror)
    assert result.exit_code == 0, result.exception
    path = tmp_path / "cache" / "briges" / "weights" / "sam_vit_b_01ec64.pth"
    assert result.stdout.splitlines()[0] == str(path)
    assert path.read_bytes() == b"sam-vit-b" * 100


def test_out_names_the_folder(mirror, tmp_path):
    result = run("sam-vit-b", "--base-url", mirror, "--out", str(tmp_path / "here"))
    assert result.stdout.splitlines()[0] == str(tmp_path / "here" / "sam_vit_b_01ec64.pth")
    assert (tmp_path / "here" / "sam_vit_b_01ec64.pth").is_file()


def test_the_bar_goes_to_stderr_and_not_into_the_paths(mirror):
    result = run("sam-vit-b", "--base-url", mirror)
    assert "sam-vit-b" in result.stderr
    assert "900/900 bytes" in result.stderr
    assert "900/900 bytes" not in result.stdout


def test_a_file_already_there_needs_no_mirror_and_still_says_its_licence(mirror):
    first = run("sam-vit-b", "--base-url", mirror)
    second = run("sam-vit-b", "--base-url", "http://127.0.0.1:9")
    assert second.exit_code == 0, second.exception
    assert second.stdout == first.stdout
    assert "900/900 bytes" in second.stderr


def test_a_non_commercial_licence_is_said_loudly(mirror):
    result = run("depth-anything-v2-b", "--base-url", mirror)
    assert "licence: CC-BY-NC-4.0" in result.stdout
    assert "NON-COMMERCIAL USE ONLY" in result.stdout


@pytest.mark.parametrize("name", ["depth-anything-v1-b", "sam-vit-b"])
def test_a_free_licence_is_said_without_alarm(name, mirror):
    result = run(name, "--base-url", mirror)
    assert "licence: Apache-2.0" in result.stdout
    assert "COMMERCIAL" not in result.stdout


def test_the_depth_file_names_the_options_that_take_it(mirror):
    result = run("depth-anything-v1-b", "--base-url", mirror)
    assert "--checkpoint (preset depth-anything-v1-b)" in result.stdout
    assert "--depth-weights" in result.stdout
    assert "--semantic-weights" not in result.stdout


def test_the_semantic_file_names_the_option_that_takes_it(mirror):
    result = run("sam-vit-b", "--base-url", mirror)
    assert "--semantic-weights" in result.stdout
    assert "--checkpoint" not in result.stdout


def test_several_files_come_in_order_and_a_name_given_twice_comes_once(mirror):
    result = run("sam-vit-b", "depth-anything-v2-b", "sam-vit-b", "--base-url", mirror)
    paths = [Path(line).name for line in result.stdout.splitlines() if line.startswith("/")]
    assert paths == ["sam_vit_b_01ec64.pth", "depth_anything_v2_vitb.pth"]


def test_an_unknown_name_is_refused_before_the_first_byte(mirror, tmp_path):
    result = run("sam-vit-b", "depth-anythin-v2-b", "--base-url", mirror)
    assert isinstance(result.exception, UnknownNameError)
    assert "did you mean 'depth-anything-v2-b'?" in str(result.exception)
    assert result.stdout == ""
    assert not (tmp_path / "cache").exists()


def test_a_file_the_mirror_lacks_is_a_download_error(mirror):
    result = run("sam-vit-l", "--base-url", mirror)
    assert isinstance(result.exception, DownloadError)
    assert "404" in str(result.exception)
    assert f"{mirror}/sam_vit_l_0b3195.pth" in str(result.exception)


def test_a_mirror_that_is_no_web_address_is_a_usage_error(tmp_path):
    result = run("sam-vit-b", "--base-url", str(tmp_path), "--out", str(tmp_path))
    assert isinstance(result.exception, UsageError)
    assert result.exception.exit_code == 2


def test_help_teaches_by_example_and_keeps_the_lines_apart():
    examples = [line for line in run("--help").stdout.splitlines() if line.startswith("    briges fetch")]
    assert examples == [  # the indent of four is lost where click joins lines
        "    briges fetch",
        "    briges fetch depth-anything-v2-b sam-vit-b",
        "    briges fetch sam-vit-l --base-url https://mirror.example/weights",
    ]
