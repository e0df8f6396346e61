"""A model folder to an engine bundle: built, put through the numeric gate, described, and only then in its place."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from onnx import ModelProto

from briges.engines.assembly import Assembled, assemble_engines, called
from briges.engines.attention_choice import Choice, choose_attention
from briges.engines.engine_run import open_engines, why_not
from briges.engines.evidence import write_evidence
from briges.engines.gate import Check, check_engine, check_onnx, gate_error, skip, verdict
from briges.engines.onnx_graph import load_graph
from briges.engines.parts import part_graphs
from briges.engines.plugin.record import LIBRARY_FILE
from briges.engines.repair import find_parts, repaired
from briges.engines.request import (
    BuildRequest,
    beside,
    check_request,
    log_file_of,
    only_one,
    request_key,
    up_to_date,
)
from briges.engines.watcher import Watcher
from briges.runtime import contracts
from briges.runtime.errors import BuildError, GateError
from briges.runtime.facts import read_host
from briges.runtime.files import replacing_folder, sha256_of, translated, write_text
from briges.runtime.flavour import load
from briges.runtime.manifest import (
    MANIFEST_SCHEMA,
    Attention,
    BuildOptions,
    BundleFile,
    Gate,
    Manifest,
    Plugin,
    Repair,
)
from briges.runtime.photographs import read_references
from briges.runtime.records import to_json
from briges.runtime.sidecar import ModelSpec, read_model

Models = Mapping[str, ModelProto]  # size -> its graph


@dataclass(frozen=True)
class Built:
    """``up_to_date``: the bundle was there already, from the very same inputs. ``log_file``: TensorRT's, if it ran."""

    manifest: Manifest
    up_to_date: bool
    log_file: Path


def build_bundle(model_folder: Path, out: Path, request: BuildRequest, watcher: Watcher) -> Built:
    """Build the bundle ``out``.

    A bundle that exists stays as it is until the new one has passed its gate. After a failed gate the outputs lie
    beside ``out``, in a folder of its name with "-evidence".
    Raises BundleError if the model folder is incomplete or was altered, GateError, BuildError, OutputError,
    MissingExtraError, BackendError, UsageError.
    """
    load(request.spec.flavour)
    watcher.step("verifying the model")
    spec = read_model(model_folder)
    check_request(model_folder, spec, out, request)
    models: Models = {graph.size: load_graph(model_folder / graph.file) for graph in spec.graphs}
    choice = choose_attention(request.attention, spec, models, request.spec, request.plugin_folder, watcher)
    key = request_key(model_folder, request, choice)
    log_file = log_file_of(out, request)
    with only_one(out):
        if not request.force and (ready := up_to_date(out, key, request)):
            return Built(ready, True, log_file)
        build = _Build(model_folder, spec, out, request, log_file, watcher, key, choice)
        return Built(build.run({size: choice.applied(model) for size, model in models.items()}), False, log_file)


@dataclass(frozen=True)
class _Build:
    """One build: what never changes during it."""

    model_folder: Path
    spec: ModelSpec
    out: Path
    request: BuildRequest
    log_file: Path
    watcher: Watcher
    key: str
    choice: Choice

    def run(self, models: Models) -> Manifest:
        """Build from the graph of each size."""
        with replacing_folder(self.out, marker=contracts.MANIFEST_FILE) as folder, called(folder, self.out):
            # Before the engine is built: a graph that fails needs none.
            checks = self._check_graphs(models)
            repair = None
            if parts := self._parts_to_repair(checks):
                self._start_log()
                repair = self._cost_before(models, folder, parts)
                models = {size: repaired(model, self.spec, parts, repair.dtype) for size, model in models.items()}
                checks = self._check_graphs(models)
                self._require_passed(checks)
            else:
                self._require_passed(checks)
                self._start_log()
            manifest = self._describe(self._assemble(models, folder), folder, repair)
            checks += self._check_engines(manifest, folder)
            self._require_passed(checks)
            self._require_same_model()
            manifest = dataclasses.replace(manifest, gate=self._verdict(checks))
            write_text(folder / contracts.MANIFEST_FILE, to_json(manifest))
        return manifest

    def _require_same_model(self) -> None:
        """It was read bit by bit, over minutes, and another export may have replaced it meanwhile."""
        if read_model(self.model_folder) != self.spec:
            raise BuildError(
                subject=f"model folder {self.model_folder}",
                came="was exported again while this build was reading it",
                expected="one model from the beginning of a build to its end",
                cure="run the same command again",
            )

    def _start_log(self) -> None:
        # Only now: until here it is the log of the bundle that exists.
        if self.request.spec.flavour != "onnxruntime":
            with translated(self.log_file):
                self.log_file.parent.mkdir(parents=True, exist_ok=True)
                self.log_file.write_bytes(b"")  # not deleted: it may be a device such as /dev/null

    def _check_graphs(self, models: Models) -> list[Check]:
        if self.spec.reference is None:  # exported with --no-verify: there is nothing to compare with
            return []
        same = self.request.spec.flavour == "onnxruntime" and self.spec.precision == "fp32"
        return [
            skip("onnx", graph, "it is the engine itself")
            if same
            else check_onnx(
                models[graph.size],
                self.model_folder,
                self.spec,
                graph,
                read_references(self.model_folder, self.spec, graph),
                self.watcher.step,
            )
            for graph in self.spec.graphs
        ]

    def _check_engines(self, manifest: Manifest, folder: Path) -> list[Check]:
        if self.spec.reference is None:
            return []
        if reason := why_not(manifest):
            return [skip("engine", graph, reason) for graph in self.spec.graphs]
        checks = []
        for graph in self.spec.graphs:
            references = read_references(self.model_folder, self.spec, graph)
            with open_engines(folder, manifest, graph) as run:
                checks.append(check_engine(run, self.spec, graph, references, self.watcher.step))
        return checks

    def _parts_to_repair(self, checks: list[Check]) -> tuple[str, ...]:
        failed = [
            graph
            for graph, check in zip(self.spec.graphs, checks, strict=False)  # there are none without a reference
            if check.outputs and not verdict(self.spec.precision, [check]).passed
        ]
        if not failed or self.request.repair is None:
            return ()
        try:
            return find_parts(self.model_folder, self.spec, failed, self.request.repair, self.watcher.step)
        except GateError as error:
            if self.request.allow_unverified:
                return ()
            cure = f"look at {self._keep_evidence(checks)}; {error.cure}"
            raise GateError(subject=error.subject, came=error.came, expected=error.expected, cure=cure) from error

    def _verdict(self, checks: list[Check]) -> Gate | None:
        return verdict(self.spec.precision, checks) if any(check.outputs for check in checks) else None

    def _require_passed(self, checks: list[Check]) -> None:
        gate = self._verdict(checks)
        if gate is None or gate.passed or self.request.allow_unverified:
            return
        of_engine = all(text.startswith("engine ") for text in gate.violations)  # then the library is at fault
        may_repair = self.spec.precision != "fp32" and self.request.repair is None and not of_engine
        raise gate_error(f"bundle {self.out}", gate, self._keep_evidence(checks), may_repair=may_repair)

    def _keep_evidence(self, checks: list[Check]) -> Path:
        folder = beside(self.out, "-evidence")
        write_evidence(folder, verdict(self.spec.precision, checks), checks)
        return folder

    def _assemble(self, models: Models, folder: Path) -> Assembled:
        parts = part_graphs(self.spec, models, split=self.request.split)
        return assemble_engines(
            parts, self.model_folder, self.spec, self.request.spec, folder, self.log_file, self.watcher, self.choice
        )

    def _cost_before(self, models: Models, folder: Path, parts: tuple[str, ...]) -> Repair:
        """Build without the repair, to tell what it costs; ``_describe`` fills in what comes after."""
        assert self.request.repair is not None
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            before = self._assemble(models, Path(scratch))
            engine_bytes = sum((Path(scratch) / engine.file).stat().st_size for engine in before.engines)
        return Repair(parts, self.request.repair, engine_bytes, 0, _activation_bytes(before), None)

    def _describe(self, assembled: Assembled, folder: Path, repair: Repair | None) -> Manifest:
        if self.spec.reference is not None:  # benchmarks compare with it where the bundle is used
            shutil.copyfile(self.model_folder / self.spec.reference, folder / self.spec.reference)
        files = {path.name: BundleFile(sha256_of(path), path.stat().st_size) for path in sorted(folder.iterdir())}
        if repair is not None:
            repair = dataclasses.replace(
                repair,
                engine_bytes_after=sum(files[engine.file].size_bytes for engine in assembled.engines),
                activation_bytes_after=_activation_bytes(assembled),
            )
        spec = self.request.spec
        return Manifest(
            schema_version=MANIFEST_SCHEMA,
            flavour=spec.flavour,
            flavour_version=assembled.flavour_version,
            engines=assembled.engines,
            options=BuildOptions(
                split=self.request.split,
                workspace_bytes=spec.workspace_bytes,
                optimization_level=spec.optimization_level,
                compute_capabilities=assembled.compute_capabilities,
                hardware_compatible=spec.hardware_compatible,
                version_compatible=spec.version_compatible,
                strip_weights=spec.strip_weights,
                embed_plugin=spec.embed_plugin and self.choice.plugin_library is not None,
            ),
            host=read_host(),
            gate=None,
            repair=repair,
            attention=_attention(self.choice),
            request=self.key,
            files=files,
            model=self.spec,
            built_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            tool_version=metadata.version("briges-trt"),
        )


def _attention(choice: Choice) -> Attention:
    if choice.plugin_library is None:
        return Attention(choice.lowering, None, choice.fell_back)
    build = choice.plugin_library.build
    capabilities = build.compute_capabilities
    plugin = Plugin(
        LIBRARY_FILE, build.version, build.triton, build.tensorrt_headers, build.kernel_sources, capabilities
    )
    return Attention(choice.lowering, plugin, choice.fell_back)


def _activation_bytes(assembled: Assembled) -> int | None:
    known = [engine.activation_bytes for engine in assembled.engines if engine.activation_bytes is not None]
    return sum(known) if known else None
