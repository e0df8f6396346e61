"""Runs the engines of a bundle once per photograph, for the gate: wherever this machine can, and says why where not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from briges.engines.gate import Run
from briges.engines.inspector import plugin_layers_in
from briges.runtime import contracts
from briges.runtime.compatibility import reasons_not_runnable, this_machine
from briges.runtime.errors import BackendError
from briges.runtime.flavour import load
from briges.runtime.manifest import Engine, Manifest
from briges.runtime.photographs import Feed
from briges.runtime.plugin import register_plugin
from briges.runtime.sidecar import SizedGraph


def why_not(manifest: Manifest) -> str | None:
    """Why the engines of a bundle cannot run on this machine; None if they can."""
    reasons = reasons_not_runnable(manifest, this_machine(manifest.flavour))
    if reasons:
        return f"{reasons[0].came}; it needs {reasons[0].expected}"
    if manifest.flavour == "onnxruntime":
        return None
    try:
        from polygraphy import cuda

        cuda.wrapper()
    except ImportError:
        return "the package polygraphy, which runs TensorRT engines for this check, is not installed"
    except Exception as error:  # an OSError of the linker, or one of Polygraphy's own
        return f"the CUDA runtime, with which this check runs TensorRT engines, cannot be loaded: {error}"
    return None


@contextlib.contextmanager
def open_engines(folder: Path, manifest: Manifest, graph: SizedGraph) -> Iterator[Run]:
    """Load the engines in ``folder`` that serve the size of ``graph``; gives what runs them.

    ``why_not`` must be None. Raises BackendError, as the function it gives does.
    """
    engines = manifest.engines_of(graph.size)
    opened = _open_onnx if manifest.flavour == "onnxruntime" else _open_tensorrt
    with opened(folder, manifest, engines) as run:
        yield run


@contextlib.contextmanager
def _open_onnx(folder: Path, _manifest: Manifest, engines: tuple[Engine, ...]) -> Iterator[Run]:
    from briges.runtime.onnx_backend import OnnxBackend, open_sessions

    with contextlib.closing(OnnxBackend(engines, open_sessions(folder, engines, "cpu", None))) as backend:

        def run(feed: Feed) -> Any:
            for name, array in feed.items():
                backend.inputs[name][...] = array
            backend.run()
            return backend.output.copy()

        yield run


@contextlib.contextmanager
def _open_tensorrt(folder: Path, manifest: Manifest, engines: tuple[Engine, ...]) -> Iterator[Run]:
    from polygraphy import config

    # Polygraphy looks at this when its TensorRT part is imported, and never again.
    config.USE_TENSORRT_RTX = manifest.flavour == "tensorrt-rtx"
    from polygraphy.backend.trt import EngineFromPath, TrtRunner
    from polygraphy.logger import G_LOGGER

    if (plugin := manifest.attention.plugin) is not None:
        register_plugin(load(manifest.flavour), folder / plugin.file, manifest.files[plugin.file].sha256)
    with contextlib.ExitStack() as stack:
        stack.enter_context(G_LOGGER.verbosity(G_LOGGER.ERROR))
        try:
            runners = [stack.enter_context(TrtRunner(EngineFromPath(str(folder / e.file)))) for e in engines]
        except Exception as error:  # Polygraphy's, CUDA's or those of TensorRT's bindings
            raise _failed(manifest, error) from error
        for engine, runner in zip(engines, runners, strict=True):
            _require_plugin_layers(manifest, engine, runner.engine)

        def run(feed: Feed) -> Any:
            # Left on the device: NumPy has no bfloat16 for what passes between the parts of a split model.
            tensors: dict[str, Any] = dict(feed)
            try:
                for engine, runner in zip(engines, runners, strict=True):
                    given = {tensor.name: tensors[tensor.name] for tensor in engine.inputs}
                    tensors |= runner.infer(given, copy_outputs_to_host=False)
                return np.array(tensors[contracts.DEPTH].numpy())
            except Exception as error:
                raise _failed(manifest, error) from error

        yield run


def _require_plugin_layers(manifest: Manifest, engine: Engine, loaded: Any) -> None:
    """The second count: the first was of the network, before TensorRT optimised it."""
    layer_format = load(manifest.flavour).LayerInformationFormat.JSON
    found = plugin_layers_in(loaded.create_engine_inspector().get_engine_information(layer_format))
    if found is not None and found != engine.plugin_layers:
        raise BackendError(
            subject=f"{manifest.flavour} {manifest.flavour_version} engine {engine.file}",
            came=f"it has {found} layers of the attention plugin",
            expected=f"the {engine.plugin_layers} of its network",
            cure="build with --attention native, and report this with the log of the build",
        )


def _failed(manifest: Manifest, error: Exception) -> BackendError:
    return BackendError(
        subject=f"{manifest.flavour} {manifest.flavour_version} engine",
        came=f"it was built and cannot run: {str(error).strip().partition(chr(10))[0] or type(error).__name__}",
        expected="one inference per photograph on the GPU of this machine",
        cure="free memory on the GPU and build again; if that is not it, report this with the log of the build",
    )
