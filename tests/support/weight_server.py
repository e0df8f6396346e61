"""A real HTTP server on this machine that misbehaves on request, and the fake weight file it serves."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import random
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from briges.export.download import fetch
from briges.export.public_weights import PublicWeight, find_weight
from briges.runtime.errors import DownloadError

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


def part_of(folder: Path) -> Path:
    return folder / "fake.pth.part"


def failure(server_url: str, folder: Path, weight: PublicWeight = WEIGHT) -> DownloadError:
    with pytest.raises(DownloadError) as caught:
        fetch(weight, base_url=server_url, folder=folder)
    assert caught.value.subject == f"download {server_url}/fake.pth"
    assert not (folder / "fake.pth").exists()
    return caught.value
