"""Engines that several estimators use: closed when the last of them is."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from briges.runtime.backend import Engines, Runner


class Shared:
    """Counts who uses ``engines``. ``turns``: the lock of those that share one block of activations."""

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self.turns = threading.Lock()
        self._count_lock = threading.Lock()
        self._users = 0

    def open(self, share_activations: bool) -> list[Runner]:
        """Runners for one more estimator, see ``Engines.runners``. Raises BackendError."""
        with self._count_lock:
            runners = self.engines.runners(share_activations)
            self._users += 1
            return list(runners)

    def close(self, runners: Sequence[Runner]) -> None:
        """Close the runners of one estimator, and the engines with the last of them."""
        with self._count_lock:
            for runner in runners:
                runner.close()
            self._users -= 1
            if self._users == 0:
                self.engines.close()
