"""The options as the real builder's configuration shows them, and the timing cache as far as it goes without a GPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorrt_rtx as trt

from briges.engines.config import configured, load_timing_cache, save_timing_cache
from briges.engines.job import PlanJob
from briges.engines.network import logger_of
from briges.engines.spec import EngineSpec
from briges.engines.trt_log import BuilderLog
from briges.runtime.errors import BuildError, OutputError

# TensorRT-RTX keeps the calls, and says that they do nothing.
pytestmark = pytest.mark.filterwarnings("ignore:.*[Tt]iming cache:DeprecationWarning")


@pytest.fixture
def log():
    return BuilderLog(lambda text: None)


@pytest.fixture
def builder(log):
    logger = logger_of(trt, log)
    yield trt.Builder(logger)
    del logger


def config_of(builder: Any, log: BuilderLog, **options: object) -> Any:
    return configured(trt, builder, PlanJob("graph.onnx", "plan", EngineSpec("tensorrt-rtx", **options)), log)


def test_nothing_asked_for_leaves_the_builders_own_choice(builder, log):
    ours, fresh = config_of(builder, log), builder.create_builder_config()
    assert ours.builder_optimization_level == fresh.builder_optimization_level
    workspace = trt.MemoryPoolType.WORKSPACE
    assert ours.get_memory_pool_limit(workspace) == fresh.get_memory_pool_limit(workspace)
    assert ours.num_compute_capabilities == 0
    assert not ours.get_flag(trt.BuilderFlag.STRIP_PLAN)


def test_float32_means_float32_and_engines_can_be_asked_for_their_layers(builder, log):
    assert builder.create_builder_config().get_flag(trt.BuilderFlag.TF32)  # TensorRT's default
    config = config_of(builder, log)
    assert not config.get_flag(trt.BuilderFlag.TF32)
    assert config.profiling_verbosity == trt.ProfilingVerbosity.DETAILED


def test_what_is_asked_for_arrives(builder, log):
    config = config_of(
        builder,
        log,
        workspace_bytes=3 << 20,
        optimization_level=1,
        compute_capabilities=("7.5", "12.1"),
        strip_weights=True,
    )
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 3 << 20
    assert config.builder_optimization_level == 1
    targets = [config.get_compute_capability(index) for index in range(config.num_compute_capabilities)]
    assert targets == [trt.ComputeCapability.SM75, trt.ComputeCapability.SM121]
    assert config.get_flag(trt.BuilderFlag.STRIP_PLAN)


def test_every_compute_capability_of_the_table_is_one_of_the_builders(builder, log):
    names = [name for name in vars(trt.ComputeCapability) if name.startswith("SM")]
    capabilities = tuple(f"{name[2:-1]}.{name[-1]}" for name in names)
    assert config_of(builder, log, compute_capabilities=capabilities).num_compute_capabilities == len(names)


def test_an_option_the_installed_version_lacks_is_refused_by_name(builder, log):
    job = PlanJob("graph.onnx", "plan", EngineSpec("tensorrt-rtx", compute_capabilities=("12.1",)))
    older = SimpleNamespace(**{name: getattr(trt, name) for name in dir(trt) if not name.startswith("__")})
    older.ComputeCapability = SimpleNamespace(SM86=trt.ComputeCapability.SM86)
    with pytest.raises(BuildError) as caught:
        configured(older, builder, job, log)
    assert caught.value.subject == "--compute-capability 12.1"
    assert caught.value.came == "the installed version of tensorrt-rtx refuses it"


def test_what_tensorrt_ignores_silently_is_noticed(builder, log):
    # TensorRT-RTX has the property of TensorRT and keeps its value as it was.
    job = PlanJob("graph.onnx", "plan", EngineSpec("tensorrt", hardware_compatible=True))
    with pytest.raises(BuildError, match=r"^--hardware-compatible: the installed version of tensorrt refuses it"):
        configured(trt, builder, job, log)


def test_a_timing_cache_is_made_where_there_is_none(builder, log, tmp_path):
    job = PlanJob("graph.onnx", "plan", EngineSpec("tensorrt", timing_cache=str(tmp_path / "new" / "cache")))
    config = configured(trt, builder, job, log)
    save_timing_cache(config, job)
    assert (tmp_path / "new" / "cache").stat().st_size > 0


def test_without_the_option_no_timing_cache_is_written(builder, log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_timing_cache(config_of(builder, log), PlanJob("graph.onnx", "plan", EngineSpec("tensorrt")))
    assert list(tmp_path.iterdir()) == []


def test_a_timing_cache_that_is_none_is_refused_and_stays(builder, log, tmp_path):
    path = tmp_path / "cache"
    path.write_bytes(b"not made by TensorRT " * 20)
    with pytest.raises(BuildError) as caught:
        load_timing_cache(builder.create_builder_config(), path, log)
    assert caught.value.subject == f"timing cache {path}"
    assert "another TensorRT version, GPU or driver" in caught.value.came
    assert caught.value.cure.startswith("name another file with --timing-cache")
    assert path.read_bytes().startswith(b"not made")  # it is the user's to delete


def test_a_timing_cache_that_cannot_be_read_or_written_is_told(builder, log, tmp_path):
    with pytest.raises(BuildError, match="cannot be read: Is a directory"):
        load_timing_cache(builder.create_builder_config(), tmp_path, log)
    job = PlanJob("graph.onnx", "plan", EngineSpec("tensorrt", timing_cache=str(Path("/dev/null/cache"))))
    config = config_of(builder, log)
    config.set_timing_cache(config.create_timing_cache(b""), False)
    with pytest.raises(OutputError, match="output /dev/null/cache: cannot be written"):
        save_timing_cache(config, job)
