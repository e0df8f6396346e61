"""Downloads that come to a good end, from a real HTTP server that misbehaves on request."""

from __future__ import annotations

import dataclasses
import http.server
import threading

import pytest
from support.weight_server import BODY, WEIGHT, answer, failure, part_of, send, status

from briges.export import download
from briges.export.download import cache_folder, fetch

pytestmark = pytest.mark.usefixtures("impatient_downloads")


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
