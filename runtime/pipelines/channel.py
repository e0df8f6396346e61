"""What hands frames from one thread to the next: bounded, and either complete or always fresh."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

# How soon a waiting taker notices an event set from outside, which cannot wake it.
_LOOK_AGAIN_S = 0.05


class Channel(Generic[T]):
    """Items in order, from one thread that puts to one that takes.

    ``latest``: putting never waits, an item that has not been taken yet gives way; ``dropped`` counts those.
    """

    def __init__(self, capacity: int, *, latest: bool = False) -> None:
        self.dropped = 0
        self._items: deque[T] = deque()
        self._capacity, self._latest = capacity, latest
        self._closed = self._cancelled = False
        self._changed = threading.Condition()

    def put(self, item: T) -> bool:
        """Append ``item``, after waiting for room unless ``latest``. False if nobody will take it any more."""
        with self._changed:
            if self._latest and len(self._items) == self._capacity:
                self._items.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: self._cancelled or len(self._items) < self._capacity)
            if not self._cancelled:
                self._items.append(item)
            self._changed.notify_all()
            return not self._cancelled

    def take(self, count: int = 1, stop: threading.Event | None = None) -> list[T]:
        """Wait for ``count`` items and remove them; fewer at the end, none after it, and none once ``stop`` is set."""
        with self._changed:
            while not self._ready(count):
                if stop is not None and stop.is_set():
                    return []
                self._changed.wait(_LOOK_AGAIN_S if stop is not None else None)
            taken = [self._items.popleft() for _ in range(min(count, len(self._items)))]
            self._changed.notify_all()
            return taken

    def close(self) -> None:
        """Nothing more comes; what is there can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Nothing more is wanted; what is there is thrown away, and nobody waits any longer."""
        with self._changed:
            self._closed = self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def _ready(self, count: int) -> bool:
        return self._closed or len(self._items) >= count
