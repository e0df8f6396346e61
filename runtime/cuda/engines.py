"""A TensorRT bundle on one GPU: the engines, and runners for them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from briges.runtime.backend import Runner, RunOptions
from briges.runtime.cuda.arrays import image_on_device
from briges.runtime.cuda.choose import open_device
from briges.runtime.cuda.image_kernels import ImageKernels
from briges.runtime.cuda.network import Activations, LoadedEngine, SizedNetwork
from briges.runtime.cuda.runner import GpuRunner
from briges.runtime.cuda.tensorrt_library import Library
from briges.runtime.errors import BackendError
from briges.runtime.flavour import load
from briges.runtime.manifest import Manifest
from briges.runtime.plugin import register_plugin
from briges.runtime.preprocess import check_image


class GpuEngines:
    """Engines that any number of runners use at once, each with execution contexts of its own."""

    def __init__(self, folder: Path, manifest: Manifest, options: RunOptions) -> None:
        """Load the verified bundle ``folder``, which this machine can run. Raises BackendError, MissingExtraError."""
        module = load(manifest.flavour)
        self._manifest, self._options = manifest, options
        self._shared: Activations | None = None
        self._device = open_device(options.device)
        self._engines: dict[str, LoadedEngine] = {}
        try:
            with self._device.current(), contextlib.ExitStack() as undo:
                if (plugin := manifest.attention.plugin) is not None:
                    register_plugin(module, folder / plugin.file, manifest.files[plugin.file].sha256)
                self._library = Library(module)
                undo.callback(self._engines.clear)  # while the context is current
                host_code = manifest.options.version_compatible
                for record in manifest.engines:
                    engine = self._library.load_engine(folder / record.file, record, host_code=host_code)
                    self._engines[record.file] = LoadedEngine(record, engine)
                self._kernels = ImageKernels(self._device)
                self._intake = self._device.stream()
                undo.pop_all()
        except BaseException:
            self._device.close()
            raise
        self.name = f"{self._library.name} on {self._device.name}, {self._device.package}"

    def accept(self, image: Any) -> Any:
        """A NumPy array as it is, an array on this GPU as a ``DeviceImage``. Raises ImageError."""
        if not isinstance(image, np.ndarray):
            with self._device.current():
                on_device = image_on_device(image, self._intake.handle, self._device.index)
            if on_device is not None:
                return on_device
        check_image(image)
        return image

    def runners(self, share_activations: bool) -> list[Runner]:
        """New runners, one per input size. Raises BackendError."""
        made: list[Runner] = []
        with self._device.current(), contextlib.ExitStack() as undo:
            memory = self._activations(share_activations)
            if not share_activations:
                undo.callback(memory.free)
            for graph in self._manifest.model.graphs:
                engines = [self._engines[record.file] for record in self._manifest.engines_of(graph.size)]
                network = SizedNetwork(self._device, self._library, engines, memory, self._options.cuda_graph)
                undo.callback(network.free)
                own = None if share_activations else memory
                made.append(GpuRunner(self._device, self._kernels, graph, network, own, bgr=self._options.bgr))
            undo.pop_all()
        return made

    def close(self) -> None:
        """Release the engines, the device's memory and its context."""
        # After an error that CUDA does not recover from, nothing can be given back, and nothing needs to be.
        with contextlib.suppress(BackendError), self._device.current():
            if self._shared is not None:
                self._shared.free()
            self._engines.clear()
            del self._library
        self._device.close()

    def _activations(self, share: bool) -> Activations:
        if not share:
            return Activations(self._device, list(self._engines.values()))
        if self._shared is None:
            self._shared = Activations(self._device, list(self._engines.values()))
        return self._shared
