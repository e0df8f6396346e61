"""A network camera on this machine."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import cv2
import pytest
from support.media import landmarks


@contextlib.contextmanager
def _camera(sizes: list[tuple[int, int]]) -> Iterator[str]:
    """A network camera that sends a JPEG of each of ``sizes``, (height, width), and vanishes; gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for height, width in sizes:
                jpeg = cv2.imencode(".jpg", landmarks(height, width)[:, :, ::-1])[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(0.005)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/camera"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def network_camera() -> Callable[[list[tuple[int, int]]], AbstractContextManager[str]]:
    """Starts a camera with the sizes of its frames; gives its address while the block lasts."""
    return _camera
