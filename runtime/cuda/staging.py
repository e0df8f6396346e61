"""Memory that both the host and the GPU see: page-locked on the host, with device memory behind it where they differ.

Where CPU and GPU share their memory, as on Jetson, kernels use the mapped host buffer itself and nothing is copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from briges.runtime.cuda.device import Buffer, Device, HostBuffer, Stream

# Growing in steps: a camera that changes its size by a few rows must not make new buffers each time.
_STEP_BYTES = 1 << 16


class Staging:
    """Grows to what is asked for and is reused from then on; nothing may be queued on it while it grows."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._host: HostBuffer | None = None
        self._buffer: Buffer | None = None
        self._size_bytes = 0

    def reserve(self, size_bytes: int) -> None:
        """Have at least ``size_bytes``. Raises BackendError if memory is short; what was there is then gone."""
        if size_bytes <= self._size_bytes:
            return
        self.free()
        rounded = -(-size_bytes // _STEP_BYTES) * _STEP_BYTES
        self._host = self._device.allocate_host(rounded)
        if not self._device.integrated:
            self._buffer = self._device.allocate(rounded)
        self._size_bytes = rounded

    @property
    def pointer(self) -> int:
        """The address that kernels use."""
        used: Buffer | HostBuffer | None = self._buffer or self._host
        assert used is not None, "reserve comes first"
        return used.pointer

    def view(self, dtype: Any, shape: tuple[int, ...], offset: int = 0) -> NDArray[Any]:
        """The host's view of what begins ``offset`` bytes in."""
        assert self._host is not None, "reserve comes first"
        return np.frombuffer(self._host.array, dtype, int(np.prod(shape)), offset).reshape(shape)

    def upload(self, size_bytes: int, stream: Stream) -> None:
        """Queue bringing the first bytes from the host to where kernels read them."""
        if self._buffer is not None and self._host is not None:
            self._device.copy(self._buffer.pointer, self._host.pointer, size_bytes, stream)

    def download(self, size_bytes: int, stream: Stream, offset: int = 0) -> None:
        """Queue bringing bytes that kernels wrote to the host."""
        if self._buffer is not None and self._host is not None:
            self._device.copy(self._host.pointer + offset, self._buffer.pointer + offset, size_bytes, stream)

    def free(self) -> None:
        """Give the memory back; a second call does nothing."""
        for held in (self._host, self._buffer):
            if held is not None:
                held.free()
        self._host = self._buffer = None
        self._size_bytes = 0
