"""The options of a build, given to TensorRT and checked: it ignores some silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from briges.engines import refusals
from briges.engines.job import PlanJob
from briges.engines.trt_log import BuilderLog
from briges.runtime.errors import BuildError
from briges.runtime.files import replacing


def configured(trt: Any, builder: Any, job: PlanJob, log: BuilderLog) -> Any:
    """A builder configuration that does what ``job.spec`` asks for. Raises BuildError if TensorRT refuses a part."""
    spec = job.spec
    config = builder.create_builder_config()
    if config is None:
        raise refusals.build_refused(job, log)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that an engine can be asked what was fused
    config.clear_flag(trt.BuilderFlag.TF32)  # what the graph keeps in float32 was put there because less fails
    if spec.workspace_bytes is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, spec.workspace_bytes)
    if spec.optimization_level is not None:
        config.builder_optimization_level = spec.optimization_level
    if spec.strip_weights:
        _set_flag(trt, config, "STRIP_PLAN", "--strip-weights", job)
    if spec.version_compatible:
        _set_flag(trt, config, "VERSION_COMPATIBLE", "--version-compatible", job)
    if spec.hardware_compatible:
        wanted = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        config.hardware_compatibility_level = wanted
        if config.hardware_compatibility_level != wanted:
            raise refusals.option_refused(job, "--hardware-compatible")
    _embed_plugin(config, job)
    _set_compute_capabilities(trt, config, job)
    if spec.timing_cache is not None:
        load_timing_cache(config, Path(spec.timing_cache), log)
    return config


def _embed_plugin(config: Any, job: PlanJob) -> None:
    if not job.spec.embed_plugin or job.plugin is None:
        return
    config.plugins_to_serialize = [job.plugin.path]
    if list(config.plugins_to_serialize) != [job.plugin.path]:
        raise refusals.option_refused(job, "--embed-plugin")


def _set_flag(trt: Any, config: Any, name: str, option: str, job: PlanJob) -> None:
    flag = getattr(trt.BuilderFlag, name, None)
    if flag is not None:
        config.set_flag(flag)
    if flag is None or not config.get_flag(flag):
        raise refusals.option_refused(job, option)


def _set_compute_capabilities(trt: Any, config: Any, job: PlanJob) -> None:
    wanted = job.spec.compute_capabilities
    if not wanted:
        return  # setting their number to 0 would do, but TensorRT has no such property
    config.num_compute_capabilities = len(wanted)
    for index, capability in enumerate(wanted):
        target = getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}", None)
        if target is None or not config.set_compute_capability(target, index):
            raise refusals.option_refused(job, f"--compute-capability {capability}")


def load_timing_cache(config: Any, path: Path, log: BuilderLog) -> None:
    """Give TensorRT the cache at ``path``, an empty one if there is none. Raises BuildError if it is of no use here."""
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise BuildError(
            subject=f"timing cache {path}",
            came=f"cannot be read: {error.strerror}",
            expected="a file, or nothing yet",
            cure="name another file with --timing-cache",
        ) from error
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, False) or log.timing_cache_refused:
        raise BuildError(
            subject=f"timing cache {path}",
            came="TensorRT refuses it: it is damaged, or was made with another TensorRT version, GPU or driver",
            expected="a cache that TensorRT made on this machine",
            cure=f"name another file with --timing-cache; or, if {path} is such a cache, delete it",
        )


def save_timing_cache(config: Any, job: PlanJob) -> None:
    """Keep what this build measured. Raises OutputError if that cannot be written."""
    cache = config.get_timing_cache() if job.spec.timing_cache is not None else None
    if cache is not None:
        with replacing(Path(str(job.spec.timing_cache))) as temporary:
            temporary.write_bytes(memoryview(cache.serialize()))
