"""Downloads that cannot come to a good end: one clear error each, and nothing wrong is kept."""

from __future__ import annotations

import hashlib
import http.server
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.weight_server import BODY, WEIGHT, answer, failure, part_of, send, status

from briges.export.download import fetch
from briges.runtime.errors import DownloadError, OutputError, UsageError

pytestmark = pytest.mark.usefixtures("impatient_downloads")


def test_a_wrong_file_of_the_right_size_is_deleted_and_both_checksums_named(server, tmp_path):
    wrong = bytes(len(BODY))
    server.replies = [answer(wrong)]
    error = failure(server.url, tmp_path)
    assert hashlib.sha256(wrong).hexdigest() in error.came
    assert error.expected == f"sha256 {WEIGHT.sha256}"
    assert not part_of(tmp_path).exists()
    assert len(server.requests) == 1


@pytest.mark.parametrize("size", [9_999, 10_001, 0])
def test_an_announced_wrong_size_ends_it_before_the_part_is_touched(size, server, tmp_path):
    part_of(tmp_path).write_bytes(BODY[:7000])
    server.replies = [answer(bytes(size), ranges=False)]
    error = failure(server.url, tmp_path)
    assert error.came == f"a file of {size:,} bytes"
    assert error.expected == "fake.pth with 10,000 bytes"
    assert "--base-url" in error.cure
    assert part_of(tmp_path).read_bytes() == BODY[:7000]
    assert len(server.requests) == 1


def test_a_range_of_a_file_of_another_size_ends_it(server, tmp_path):
    part_of(tmp_path).write_bytes(BODY[:7000])
    server.replies = [status(206, Content_Range="bytes 7000-11999/12000")]
    assert failure(server.url, tmp_path).came == "a file of 12,000 bytes"


def test_an_endless_body_is_stopped_as_soon_as_it_is_too_long(server, tmp_path):
    sent = []

    def pour(handler: http.server.BaseHTTPRequestHandler) -> None:
        send(handler, 200, {})
        while len(sent) < 1000:  # 100 MB, unless the client hangs up
            handler.wfile.write(bytes(100_000))
            sent.append(100_000)

    server.replies = [pour]
    seen: list[int] = []
    with pytest.raises(DownloadError, match="more than 10,000 bytes; deleted"):
        fetch(WEIGHT, base_url=server.url, folder=tmp_path, on_progress=seen.append)
    assert max(seen) <= 10_000
    assert not part_of(tmp_path).exists()
    server.server_close()  # waits for the handler
    assert sum(sent) < 50e6


def test_a_body_without_announced_length_is_accepted_when_it_is_right(server, tmp_path):
    server.replies = [lambda handler: send(handler, 200, {}, BODY)]
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert len(server.requests) == 1


@pytest.mark.parametrize(("code", "text"), [(404, "404 Not Found"), (403, "403 Forbidden"), (401, "401 Unauthorized")])
def test_a_refusal_is_final_and_keeps_the_part(code, text, server, tmp_path):
    part_of(tmp_path).write_bytes(BODY[:7000])
    server.replies = [status(code)]
    error = failure(server.url, tmp_path)
    assert error.came == f"the server answered {text}"
    assert len(server.requests) == 1
    assert part_of(tmp_path).read_bytes() == BODY[:7000]


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_passing_error_is_tried_again(code, server, tmp_path):
    server.replies = [status(code)] * 2
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert len(server.requests) == 3


def test_a_lasting_server_error_is_named(server, tmp_path):
    server.replies = [status(503)] * 9
    assert failure(server.url, tmp_path).came.startswith("the server answered 503 Service Unavailable; gave up at 0 of")
    assert len(server.requests) == 3


def test_nothing_listening_is_a_download_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = failure(f"http://127.0.0.1:{port}", tmp_path)
    assert "no answer" in error.came
    assert "Connection refused" in error.came
    assert "gave up at 0 of 10,000 bytes after 3 tries" in error.came


def test_an_unresolvable_host_is_a_download_error(tmp_path, monkeypatch):
    def unresolvable(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolvable)
    assert "Name or service not known" in failure("http://mirror.invalid", tmp_path).came


@pytest.mark.parametrize(
    "base_url",
    [
        "ftp://host/x",
        "file:///tmp",
        "mirror.example",
        "",
        "http://",
        "http://host:port",
        "http://ho st",
        "http://u:p@h",
    ],
)
def test_an_address_that_is_not_http_is_a_usage_error(base_url, tmp_path):
    with pytest.raises(UsageError) as caught:
        fetch(WEIGHT, base_url=base_url, folder=tmp_path)
    assert caught.value.came == repr(base_url)
    assert caught.value.expected.startswith("an http:// or https:// address")
    assert list(tmp_path.iterdir()) == []


def test_two_threads_fetching_the_same_file_share_one_download(server, tmp_path):
    def slow(handler: http.server.BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)  # long enough for the twin to find no file
        answer()(handler)

    server.replies = [slow, slow]
    with ThreadPoolExecutor(2) as pool:
        twins = [pool.submit(fetch, WEIGHT, base_url=server.url, folder=tmp_path) for _ in range(2)]
    assert [twin.result().read_bytes() == BODY for twin in twins] == [True, True]
    assert server.ranges == [None]


def test_a_full_disk_is_an_output_error_with_its_cure(server, tmp_path):
    part_of(tmp_path).symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left on device") as caught:
        fetch(WEIGHT, base_url=server.url, folder=tmp_path)
    assert "free some space" in caught.value.cure
    assert len(server.requests) == 1  # a full disk is no reason to ask again


def test_a_folder_that_cannot_be_is_an_output_error_before_any_request(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="part of that path is a file"):
        fetch(WEIGHT, base_url=server.url, folder=tmp_path / "file" / "weights")
    assert server.requests == []
