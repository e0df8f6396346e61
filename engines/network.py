"""An ONNX graph to a plan file, with TensorRT 10 and 11 and TensorRT-RTX alike. Runs in the child process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from briges.engines import refusals
from briges.engines.config import configured, save_timing_cache
from briges.engines.job import BuiltPlan, PlanJob
from briges.engines.spec import EngineSpec
from briges.engines.trt_log import BuilderLog
from briges.runtime.compatibility import RTX_DEFAULT_COMPUTE_CAPABILITIES
from briges.runtime.errors import BuildError
from briges.runtime.files import translated
from briges.runtime.flavour import load, network_flags
from briges.runtime.manifest import Tensor
from briges.runtime.plugin import register_plugin

# Takes a phase and how many of how many steps of it are done; False asks for the build to end.
Report = Callable[[str, int, int], bool]

_PLUGIN_LAYER = "PLUGIN_V3"
_DTYPES = {"UINT8": "uint8", "FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16"}


def build(job: PlanJob, report: Report, write_log: Callable[[str], None]) -> BuiltPlan:
    """Read ``job.onnx``, with its weights beside it, build it, write the plan to ``job.plan``.

    Raises MissingExtraError or BackendError if the flavour cannot be used, OutputError if the plan or the timing cache
    cannot be written, BuildError for everything TensorRT refuses, with its words and a cure.
    """
    trt = load(job.spec.flavour)
    log = BuilderLog(write_log)
    logger = logger_of(trt, log)  # TensorRT keeps no reference to it: it must live as long as the builder
    builder = _builder(trt, logger, job, log)
    network = builder.create_network(network_flags(trt))
    if network is None:
        raise refusals.build_refused(job, log)
    started = time.monotonic()
    report("reading the graph", 0, 1)
    if job.plugin is not None:  # before the graph is parsed: its nodes are looked up then
        register_plugin(trt, Path(job.plugin.path), job.plugin.sha256)
    _parse(trt, network, logger, job)
    inputs, outputs = _tensors(network, job)
    layers = Counter(network.get_layer(index).type.name for index in range(network.num_layers))
    _require_plugin_layers(layers, job)
    config = configured(trt, builder, job, log)
    config.progress_monitor = _monitor(trt, report)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise refusals.build_refused(job, log)
    build_s = time.monotonic() - started
    report("saving the plan", 0, 1)
    plan_bytes = _save(plan, Path(job.plan))
    save_timing_cache(config, job)
    return BuiltPlan(
        flavour_version=str(trt.__version__),
        inputs=inputs,
        outputs=outputs,
        layers=dict(sorted(layers.items())),
        activation_bytes=log.activation_bytes,
        weights_bytes=log.weights_bytes,
        plan_bytes=plan_bytes,
        compute_capabilities=_compute_capabilities(job.spec),
        build_s=build_s,
    )


def _builder(trt: Any, logger: Any, job: PlanJob, log: BuilderLog) -> Any:
    try:
        return trt.Builder(logger)
    except TypeError as error:  # how TensorRT's bindings say that there is no GPU; its log has the reason
        raise refusals.build_refused(job, log) from error


def _parse(trt: Any, network: Any, logger: Any, job: PlanJob) -> None:
    parser = trt.OnnxParser(network, logger)
    # From the file and not from its bytes: its weights are beside it.
    fine = parser.parse_from_file(job.onnx)
    problems = [parser.get_error(index) for index in range(parser.num_errors)]
    if not fine or problems:
        raise refusals.parser_refused(job, problems)
    if network.num_inputs == 0 or network.num_outputs == 0:  # which is how the parser takes what is no ONNX at all
        raise BuildError(
            subject=f"engine of {job.onnx}",
            came="the file is no ONNX model, or one without inputs or outputs",
            expected="an ONNX model",
            cure="export it with `briges export`",
        )


def _require_plugin_layers(layers: Counter[str], job: PlanJob) -> None:
    """A parser that finds no plugin may take a function instead, silently, with all the memory that costs."""
    found = layers[_PLUGIN_LAYER]
    if found != job.plugin_layers:
        raise BuildError(
            subject=f"engine of {job.onnx}",
            came=f"its network has {found} layers of the attention plugin",
            expected=f"{job.plugin_layers}, one for each attention node of the graph",
            cure="build with --attention native, and report this with the log of the build",
        )


def _tensors(network: Any, job: PlanJob) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    inputs = tuple(_tensor(network.get_input(index), job) for index in range(network.num_inputs))
    return inputs, tuple(_tensor(network.get_output(index), job) for index in range(network.num_outputs))


def _tensor(tensor: Any, job: PlanJob) -> Tensor:
    shape = tuple(int(side) for side in tensor.shape)
    dtype = _DTYPES.get(tensor.dtype.name)
    if dtype is None or min(shape, default=0) < 0:
        raise BuildError(
            subject=f"engine of {job.onnx}",
            came=f"its tensor {tensor.name!r} is {tensor.dtype.name} of shape {list(shape)}",
            expected=f"a fixed shape, and one of {', '.join(_DTYPES.values())}",
            cure="export it with `briges export`, which fixes every size",
        )
    return Tensor(tensor.name, dtype, shape)  # type: ignore[arg-type]  # the values of _DTYPES are the literals


def _save(plan: Any, path: Path) -> int:
    content = memoryview(plan)
    with translated(path), path.open("wb") as stream:
        stream.write(content)
    return content.nbytes


def _compute_capabilities(spec: EngineSpec) -> tuple[str, ...]:
    if spec.flavour == "tensorrt-rtx":
        return spec.compute_capabilities or RTX_DEFAULT_COMPUTE_CAPABILITIES
    return ()


def logger_of(trt: Any, log: BuilderLog) -> Any:
    """A logger of TensorRT that gives what it is told to ``log``."""

    class Logger(trt.ILogger):  # type: ignore[misc]  # its base is only known here
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            log.note(severity.name, message)

    return Logger()


def _monitor(trt: Any, report: Report) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # likewise
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self._steps[phase] = steps
            report(phase, 0, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            return report(phase, step + 1, self._steps.get(phase, step + 1))

        def phase_finish(self, phase: str) -> None:
            self._steps.pop(phase, None)

    return Monitor()
