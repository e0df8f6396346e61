"""Engine files from graphs: built by TensorRT in a child process each, or for ONNX Runtime the graphs themselves."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from briges.engines.attention_choice import Choice
from briges.engines.job import PlanJob, PluginFile
from briges.engines.lowering import forget_definitions, is_attention
from briges.engines.parts import PartGraph, tensors_of
from briges.engines.plugin.record import LIBRARY_FILE
from briges.engines.spec import EngineSpec
from briges.engines.temporary import temporary_folder
from briges.engines.watcher import Watcher
from briges.engines.worker import build_plan
from briges.runtime.errors import BrigesError, BuildError
from briges.runtime.files import sha256_of
from briges.runtime.flavour import library_version
from briges.runtime.gpu import read_driver
from briges.runtime.manifest import Engine
from briges.runtime.sidecar import ModelSpec


@dataclass(frozen=True)
class Assembled:
    """The engines in a folder, the exact version that made them, and the GPUs they are for; none if to no GPU."""

    engines: tuple[Engine, ...]
    flavour_version: str
    compute_capabilities: tuple[str, ...]


def assemble_engines(
    parts: Sequence[PartGraph],
    model_folder: Path,
    model: ModelSpec,
    spec: EngineSpec,
    folder: Path,
    log_file: Path,
    watcher: Watcher,
    choice: Choice,
) -> Assembled:
    """Write one engine per part into ``folder``, and the plugin library they need, if any.

    model_folder: where the weights of the graphs lie. log_file: see ``worker.build_plan``.
    Raises BuildError, OutputError, BackendError, MissingExtraError.
    """
    weights = [model_folder / name for name in model.files if name.endswith(".data")]
    if spec.flavour == "onnxruntime":
        return _copy_graphs(parts, weights, folder)
    return _build_plans(parts, model_folder, weights, spec, folder, log_file, watcher, choice)


def _copy_graphs(parts: Sequence[PartGraph], weights: Sequence[Path], folder: Path) -> Assembled:
    # Copied, not linked: the onnx package refuses weights that have more than one hard link.
    for path in weights:
        shutil.copyfile(path, folder / path.name)
    engines = []
    for part in parts:
        path = folder / f"{part.stem}.onnx"
        path.write_bytes(part.model.SerializeToString())
        inputs, outputs = tensors_of(part.model)
        engines.append(Engine(part.part, part.size, path.name, sha256_of(path), inputs, outputs, None, None, {}))
    version = library_version("onnxruntime")
    assert version is not None, "the flavour was chosen because it is here"
    return Assembled(tuple(engines), version, ())


def _build_plans(
    parts: Sequence[PartGraph],
    model_folder: Path,
    weights: Sequence[Path],
    spec: EngineSpec,
    folder: Path,
    log_file: Path,
    watcher: Watcher,
    choice: Choice,
) -> Assembled:
    plugin = None
    if choice.plugin_library is not None:
        # The copy is what TensorRT loads: the engines are built with the very file that travels with them.
        library = folder / LIBRARY_FILE
        shutil.copyfile(choice.plugin_library.path, library)
        if sha256_of(library) != choice.plugin_library.sha256:
            raise BuildError(
                subject=f"plugin library {choice.plugin_library.path}",
                came="was built again while this build was using it",
                expected="one library from the beginning of a build to its end",
                cure="run the same command again",
            )
        plugin = PluginFile(str(library), choice.plugin_library.sha256)
    graphs = {part.stem: choice.for_tensorrt(part.model) for part in parts}
    nodes = {stem: sum(map(is_attention, graph.graph.node)) for stem, graph in graphs.items()}

    # TensorRT looks for the weights beside the graph, and the model folder may be read-only.
    def fill(work: Path) -> None:
        for path in weights:
            (work / path.name).symlink_to(path.resolve())
        for stem, graph in graphs.items():
            # Without the definitions no version of TensorRT can take one for the plugin.
            forget_definitions(graph)
            onnx.save(graph, work / f"{stem}.onnx")

    engines = []
    with temporary_folder(fill) as work, called(work, model_folder):
        for part in parts:
            watcher.step(f"building {part.stem} with {spec.flavour}")
            graph, plan = work / f"{part.stem}.onnx", folder / f"{part.stem}.plan"
            count = nodes[part.stem]
            job = PlanJob(str(graph), str(plan), spec, plugin if count else None, count)
            built = build_plan(job, log_file, watcher.progress)
            engines.append(
                Engine(
                    part=part.part,
                    size=part.size,
                    file=plan.name,
                    onnx_sha256=sha256_of(graph),
                    inputs=built.inputs,
                    outputs=built.outputs,
                    weights_bytes=built.weights_bytes,
                    activation_bytes=built.activation_bytes,
                    layers=built.layers,
                    build_s=round(built.build_s, 1),
                    plugin_layers=count,
                )
            )
    capabilities = built.compute_capabilities
    if spec.flavour == "tensorrt":  # which builds for the GPU at hand
        capabilities = tuple(device.compute_capability for device in read_driver().devices[:1])
    return Assembled(tuple(engines), built.flavour_version, capabilities)


@contextlib.contextmanager
def called(folder: Path, name: Path) -> Iterator[None]:
    """Errors of the block that speak of files in the temporary ``folder`` speak of the folder ``name`` instead."""
    try:
        yield
    except BrigesError as error:
        if str(folder) not in str(error):
            raise
        told = {field: getattr(error, field) for field in ("subject", "came", "expected", "cure")}
        raise type(error)(**{field: text.replace(str(folder), str(name)) for field, text in told.items()}) from error
