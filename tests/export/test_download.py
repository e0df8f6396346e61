"""Downloads against a real HTTP server on this machine that misbehaves on request."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from briges.export import download
from briges.export.download import cache_folder, fetch
from briges.export.public_weights import PublicWeight, find_weight
from briges.runtime.errors import DownloadError, OutputError, UsageError

BODY = random.Random(0).randbytes(10_000)
WEIGHT = dataclasses.replace(
    find_weight("sam-vit-b"),
    file_name="fake.pth",
    bytes=len(BODY),
    sha256=hashlib.sha256(BODY).hexdigest(),
    url="http://unused.invalid/fake.pth",
)

Reply = Callable[[http.server.BaseHTTPRequestHandler], None]


def send(handler: http.server.BaseHTTPRequestHandler, status: int, headers: dict[str, object], body: bytes = b""):
    handler.send_response(status)
    for key, value in headers.items():
        handler.send_header(key, str(value))
    handler.end_headers()
    handler.wfile.write(body)


def answer(body: bytes = BODY, *, cut_at: int | None = None, ranges: bool = True) -> Reply:
    """Serve ``body``, honestly but for a connection cut before byte ``cut_at``; optionally blind to Range."""

    def reply(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", "")) if ranges else None
        start = int(asked[1]) if asked else 0
        headers: dict[str, object] = {"Content-Length": len(body) - start}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        send(handler, 206 if asked else 200, headers, body[start:cut_at])

    return reply


def status(code: int, **headers: str) -> Reply:
    return lambda handler: send(handler, code, {key.replace("_", "-"): value for key, value in headers.items()})


class WeightServer(http.server.ThreadingHTTPServer):
    """Answers with ``replies`` in turn, then honestly; remembers the path and Range header of every request."""

    daemon_threads = False  # so that closing waits for the handlers

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[tuple[str, str | None]] = []
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/mirror"

    @property
    def ranges(self) -> list[str | None]:
        return [asked for _, asked in self.requests]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of these tests."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: WeightServer

    def do_GET(self) -> None:  # the name http.server asks for
        with self.server.lock:
            self.server.requests.append((self.path, self.headers.get("Range")))
            reply = self.server.replies.pop(0) if self.server.replies else answer()
        reply(self)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[WeightServer]:
    with WeightServer() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _impatient_and_without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_WAITS_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(download, "_CHUNK_BYTES", 1000)
    monkeypatch.setenv("no_proxy", "*")


def part_of(folder: Path) -> Path:
    return folder / "fake.pth.part"


def failure(server_url: str, folder: Path, weight: PublicWeight = WEIGHT) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        fetch(weight, base_url=server_url, folder=folder)
    assert caught.value.subject == f"download {server_url}/fake.pth"
    assert not (folder / "fake.pth").exists()
    return caught.value


def test_a_file_is_fetched_whole_into_a_folder_that_is_made(server, tmp_path):
    seen: list[int] = []
    path = fetch(WEIGHT, base_url=server.url, folder=tmp_path / "new" / "folder", on_progress=seen.append)
    assert path == tmp_path / "new" / "folder" / "fake.pth"
    assert path.read_bytes() == BODY
    assert server.requests == [("/mirror/fake.pth", None)]
    assert (seen[0], seen[-1]) == (0, 10_000)
    assert seen == sorted(seen)
    assert sorted(each.name for each in path.parent.iterdir()) == ["fake.pth", "fake.pth.lock"]


def test_without_a_mirror_the_authors_address_is_asked(server, tmp_path):
    weight = dataclasses.replace(WEIGHT, url=f"{server.url}/authors/fake.pth")
    assert fetch(weight, folder=tmp_path).read_bytes() == BODY
    assert server.requests == [("/mirror/authors/fake.pth", None)]


def test_a_mirror_may_end_in_a_slash(server, tmp_path):
    fetch(WEIGHT, base_url=f"{server.url}/", folder=tmp_path)
    assert server.requests == [("/mirror/fake.pth", None)]


def test_the_default_folder_is_the_cache(server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fetch(WEIGHT, base_url=server.url) == tmp_path / "briges" / "weights" / "fake.pth"


@pytest.mark.parametrize("configured", [None, "", "relative/path"])
def test_without_an_absolute_xdg_cache_home_the_cache_is_in_the_home_folder(configured, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if configured is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", configured)
    assert cache_folder() == tmp_path / ".cache" / "briges" / "weights"


def test_a_file_already_there_is_returned_without_any_request(server, tmp_path):
    (tmp_path / "fake.pth").write_bytes(BODY)
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert server.requests == []
    assert [each.name for each in tmp_path.iterdir()] == ["fake.pth"]  # so a read-only folder would do


def test_a_file_of_the_right_size_but_the_wrong_content_is_fetched_again(server, tmp_path):
    (tmp_path / "fake.pth").write_bytes(bytes(len(BODY)))
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert server.ranges == [None]


def test_a_cut_connection_is_resumed_at_the_next_byte(server, tmp_path):
    server.replies = [answer(cut_at=4321)]
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert server.ranges == [None, "bytes=4321-"]


def test_any_number_of_cuts_is_survived_while_each_connection_brings_something(server, tmp_path):
    server.replies = [answer(cut_at=stop) for stop in range(1000, 10_000, 1000)]
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert server.ranges == [None, *(f"bytes={start}-" for start in range(1000, 10_000, 1000))]


def test_a_silent_server_is_left_and_the_rest_asked_for_anew(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT_S", 0.2)
    over, was_left = threading.Event(), []

    def stall(handler: http.server.BaseHTTPRequestHandler) -> None:
        answer(cut_at=2500)(handler)
        was_left.append(over.wait(5))

    server.replies = [stall]
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    over.set()
    server.server_close()  # waits for the handler
    assert was_left == [True]
    assert server.ranges == [None, "bytes=2500-"]


def test_connections_that_bring_nothing_end_the_attempt_and_keep_the_part(server, tmp_path):
    server.replies = [answer(cut_at=4000)] * 9
    error = failure(server.url, tmp_path)
    assert error.came == (
        "the connection was cut at byte 4,000; gave up at 4,000 of 10,000 bytes after 3 tries without progress"
    )
    assert "it continues there" in error.cure
    assert server.ranges == [None, *["bytes=4000-"] * 3]
    assert part_of(tmp_path).read_bytes() == BODY[:4000]


def test_a_server_that_starts_anew_and_breaks_at_the_same_byte_is_given_up(server, tmp_path):
    server.replies = [answer(cut_at=4000, ranges=False)] * 9
    assert "gave up at 4,000 of 10,000 bytes after 3 tries" in failure(server.url, tmp_path).came
    assert len(server.requests) == 4


def test_a_left_over_part_is_continued_by_the_next_call(server, tmp_path):
    part_of(tmp_path).write_bytes(BODY[:7000])
    seen: list[int] = []
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path, on_progress=seen.append).read_bytes() == BODY
    assert server.ranges == ["bytes=7000-"]
    assert seen[0] == 7000
    assert not part_of(tmp_path).exists()


def test_ctrl_c_keeps_the_part_for_the_next_call(server, tmp_path):
    def interrupt(done: int) -> None:
        if done >= 3000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(WEIGHT, base_url=server.url, folder=tmp_path, on_progress=interrupt)
    kept = part_of(tmp_path).stat().st_size
    assert 3000 <= kept < 10_000
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={kept}-"]


def test_the_range_survives_a_redirect(server, tmp_path):
    part_of(tmp_path).write_bytes(BODY[:7000])
    server.replies = [status(302, Location="/elsewhere?signed=1")]
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert server.requests == [("/mirror/fake.pth", "bytes=7000-"), ("/elsewhere?signed=1", "bytes=7000-")]


def test_a_whole_part_needs_no_request(server, tmp_path):
    part_of(tmp_path).write_bytes(BODY)
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert server.requests == []


@pytest.mark.parametrize("stale", [b"x" * 20_000, b"x" * 10_000], ids=["bigger", "of the same size"])
def test_a_stale_part_that_nothing_can_be_appended_to_is_dropped(stale, server, tmp_path):
    part_of(tmp_path).write_bytes(stale)
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert server.ranges == [None]


def test_a_server_that_ignores_range_is_read_from_the_start(server, tmp_path):
    part_of(tmp_path).write_bytes(BODY[:7000])
    server.replies = [answer(ranges=False)]
    seen: list[int] = []
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path, on_progress=seen.append).read_bytes() == BODY
    assert server.ranges == ["bytes=7000-"]
    assert seen[0] == 0


@pytest.mark.parametrize("content_range", ["bytes 0-9999/10000", "bytes 7001-9999/10000", "nonsense", None])
def test_a_range_other_than_asked_for_leads_to_a_whole_new_start(content_range, server, tmp_path):
    part_of(tmp_path).write_bytes(BODY[:7000])
    headers = {} if content_range is None else {"Content-Range": content_range}
    server.replies = [lambda handler: send(handler, 206, headers, BODY[7000:])]
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert server.ranges == ["bytes=7000-", None]


def test_a_range_that_is_shorter_than_asked_for_is_continued(server, tmp_path):
    part_of(tmp_path).write_bytes(BODY[:7000])
    server.replies = [lambda handler: send(handler, 206, {"Content-Range": "bytes 7000-7999/*"}, BODY[7000:8000])]
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert server.ranges == ["bytes=7000-", "bytes=8000-"]


def test_a_range_that_cannot_be_satisfied_leads_to_a_whole_new_start(server, tmp_path):
    part_of(tmp_path).write_bytes(BODY[:7000])
    server.replies = [status(416)]
    assert fetch(WEIGHT, base_url=server.url, folder=tmp_path).read_bytes() == BODY
    assert server.ranges == ["bytes=7000-", None]


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
