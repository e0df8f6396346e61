from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from support.commands import hide_modules, run_briges
from support.manifests import NO_DRIVER, ORIN, RTX_4090

from briges.runtime.doctor import Diagnosis, Finding, diagnose
from briges.runtime.facts import BUILD_MODULES, ENGINE_MODULES, MODULES, Facts, PluginTools
from briges.runtime.flavour import library_version
from briges.runtime.gpu import Driver, read_driver
from briges.runtime.jetson import Jetson
from briges.runtime.probe import Package

ABSENT = Package(None, None)
GPU_DRIVER = Driver("12.6", (RTX_4090,), None)


def facts(*, without: tuple[str, ...] = ENGINE_MODULES, **changes: Any) -> Facts:
    """A well-equipped machine without a GPU, less the modules ``without``."""
    packages = {name: Package(f"1.{index}", None) for index, name in enumerate(MODULES)}
    made = Facts(
        tool_version="0.1.0",
        python="3.11.7",
        platform="Linux x86_64",
        cores=8,
        memory_bytes=32 << 30,
        memory_free_bytes=20 << 30,
        disk_free_bytes=100 << 30,
        packages=packages | dict.fromkeys(without, ABSENT),
        cuda_packages={},
        driver=NO_DRIVER,
        jetson=None,
        plugin=PluginTools("g++, headers of TensorRT 10.14.1", None, None, "3.9.0"),
    )
    return dataclasses.replace(made, **changes)


def jetson_facts(l4t: str | None, tensorrt: str | None, **changes: Any) -> Facts:
    """An Orin with this Jetson Linux and this TensorRT."""
    made = facts(driver=Driver("12.6", (ORIN,), None), jetson=Jetson("Orin Nano", l4t, "MAXN"), **changes)
    return dataclasses.replace(made, packages=made.packages | {"tensorrt": Package(tensorrt, None)})


def find(diagnosis: Diagnosis, part: str, name: str) -> Finding:
    """The one finding of that name."""
    (finding,) = [item for item in diagnosis.findings if (item.part, item.name) == (part, name)]
    return finding


def test_what_is_there_is_shown_with_its_version() -> None:
    diagnosis = diagnose(facts())

    assert find(diagnosis, "machine", "briges-trt").found == "0.1.0 on Python 3.11.7"
    assert find(diagnosis, "machine", "platform").found == "Linux x86_64, 8 CPU cores"
    assert find(diagnosis, "machine", "memory").found == "20.0 GiB free of 32.0"
    assert find(diagnosis, "machine", "disk").found == "100.0 GiB free here"
    assert find(diagnosis, "export", "torch") == Finding("export", "torch", True, "1.0")
    assert find(diagnosis, "export", "opencv").ok
    assert diagnosis.runs == ("onnxruntime",)


def test_what_compiles_the_plugin_is_told_and_what_is_missing_is_no_fault() -> None:
    found = find(diagnose(facts()), "build", "attention plugin")
    assert (found.ok, found.found) == (None, "g++, headers of TensorRT 10.14.1; Triton 3.9.0")
    no_triton = PluginTools("g++, headers of TensorRT 10.3.0", None, None, None)
    assert "copy build/plugin" in find(diagnose(facts(plugin=no_triton)), "build", "attention plugin").found
    lacking = PluginTools(None, "a C++17 compiler: no g++ in PATH", "install g++", None)
    found = find(diagnose(facts(plugin=lacking)), "build", "attention plugin")
    assert found.found == "native attention instead, for lack of a C++17 compiler: no g++ in PATH"
    assert (found.ok, found.cure) == (None, "install g++")


def test_what_is_missing_comes_with_its_cure() -> None:
    diagnosis = diagnose(facts(without=("torch", "tensorrt", "tensorrt_rtx")))

    assert find(diagnosis, "export", "torch") == Finding(
        "export", "torch", False, "not installed", "pip install 'briges-trt[export]'"
    )
    assert find(diagnosis, "build", "tensorrt").cure == "pip install 'briges-trt[tensorrt]'"
    assert find(diagnosis, "build", "tensorrt-rtx").cure == "pip install 'briges-trt[rtx]'"
    assert find(diagnosis, "gpu", "GPU").found == "no libcuda.so.1: no NVIDIA driver"
    assert "--gpus all" in str(find(diagnosis, "gpu", "GPU").cure)


@pytest.mark.parametrize("module", BUILD_MODULES)
def test_a_flavour_cannot_be_built_without_what_every_build_needs(module: str) -> None:
    finding = find(diagnose(facts(without=(module,))), "build", "tensorrt-rtx")

    name = {"cv2": "opencv", "PIL": "pillow"}.get(module, module)
    assert not finding.ok
    assert finding.found.endswith(f", but without {name}")
    assert finding.cure == "pip install 'briges-trt[build]'"


def test_a_broken_package_says_what_breaks_it() -> None:
    broken = facts()
    broken.packages["cv2"] = Package(None, "ImportError: libGL.so.1: cannot open shared object file")

    finding = find(diagnose(broken), "export", "opencv")

    assert finding.found == "cannot be loaded: ImportError: libGL.so.1: cannot open shared object file"


def test_tensorrt_builds_where_there_is_a_gpu_and_nowhere_else() -> None:
    without, with_gpu = (diagnose(facts(without=(), driver=driver)) for driver in (NO_DRIVER, GPU_DRIVER))
    tensorrt = Package("10.13.3.9", None)
    without, with_gpu = (
        diagnose(dataclasses.replace(item.facts, packages=item.facts.packages | {"tensorrt": tensorrt}))
        for item in (without, with_gpu)
    )

    assert find(without, "build", "tensorrt").ok is False
    assert find(without, "build", "tensorrt").found == "10.13.3.9, but it builds on a GPU only"
    assert find(without, "build", "tensorrt-rtx").ok is True
    assert without.flavour == "tensorrt-rtx"
    assert find(with_gpu, "build", "tensorrt") == Finding("build", "tensorrt", True, "10.13.3.9")
    assert with_gpu.flavour == "tensorrt"
    assert find(with_gpu, "build", "--flavour auto").found == f"tensorrt: {with_gpu.flavour_reason}"


def test_a_release_we_are_not_made_for_is_no_builder() -> None:
    diagnosis = diagnose(jetson_facts("36.3.0", "8.6.2"))

    finding = find(diagnosis, "build", "tensorrt")
    assert (finding.ok, finding.found) == (False, "8.6.2, which this release is not made for")
    assert finding.cure == "install TensorRT 10.x or 11.x; on a Jetson, JetPack 6.1 or later"
    assert diagnosis.flavour == "onnxruntime"


def test_gpus_are_named_with_architecture_and_memory() -> None:
    diagnosis = diagnose(facts(driver=GPU_DRIVER, cuda_packages={"cuda-python": "12.9.0"}))

    gpu = find(diagnosis, "gpu", "GPU")
    assert gpu.ok
    assert gpu.found == "NVIDIA GeForce RTX 4090, compute capability 8.9 (Ada: RTX 40, L4), 24.0 GiB"
    assert find(diagnosis, "gpu", "driver").found == "supports CUDA up to 12.6"
    assert find(diagnosis, "gpu", "cuda-python or pycuda").found == "cuda-python 12.9.0"


def test_tensorrt_engines_run_where_there_is_a_gpu_and_a_way_to_its_memory() -> None:
    whole = diagnose(facts(without=(), driver=GPU_DRIVER, cuda_packages={"pycuda": "2026.1"}))
    no_package = find(diagnose(facts(without=(), driver=GPU_DRIVER, cuda_packages={})), "run", "tensorrt-rtx")
    no_gpu = find(diagnose(facts(without=())), "run", "tensorrt-rtx")

    assert find(whole, "run", "tensorrt-rtx").ok
    assert "tensorrt-rtx" in whole.runs
    assert (no_package.ok, no_package.cure) == (False, "pip install 'briges-trt[cuda]'")
    assert no_package.found.endswith("without cuda-python or pycuda")
    assert (no_gpu.ok, no_gpu.found.endswith("without a GPU")) == (False, True)


def test_running_needs_what_reads_images() -> None:
    diagnosis = diagnose(facts(without=("PIL", "cv2")))

    finding = find(diagnosis, "run", "onnxruntime")
    assert (finding.ok, finding.found) == (False, "without opencv, pillow")
    assert finding.cure == "pip install 'briges-trt[cpu]'"
    assert diagnosis.runs == ()


@pytest.mark.parametrize(("free_gib", "ok"), [(5, False), (6, True)])
def test_memory_is_held_against_what_an_export_needs(free_gib: int, ok: bool) -> None:
    finding = find(diagnose(facts(memory_free_bytes=free_gib << 30)), "export", "memory")

    assert finding.ok is ok
    assert finding.found == f"{free_gib}.0 GiB free; briges-v2-b needs about 6 GiB, briges-v2-l needs about 12 GiB"
    assert (finding.cure is None) is ok


def test_unknown_memory_is_left_out() -> None:
    diagnosis = diagnose(facts(memory_bytes=None, memory_free_bytes=None))

    assert "memory" not in [item.name for item in diagnosis.findings]


# Jetson.


def test_a_jetson_shows_what_it_should_have_and_has() -> None:
    diagnosis = diagnose(jetson_facts("39.2.0", "10.16.2.10"))

    assert find(diagnosis, "jetson", "model").found == "Orin Nano"
    assert find(diagnosis, "jetson", "power mode").found == "MAXN"
    assert find(diagnosis, "jetson", "Jetson Linux") == Finding("jetson", "Jetson Linux", True, "39.2.0, JetPack 7.2")
    assert find(diagnosis, "jetson", "TensorRT").found == "10.16.2.10 here; JetPack 7.2 brings 10.16.2"
    assert "TensorRT 10.3" not in [item.name for item in diagnosis.findings]


def test_the_release_with_silently_wrong_engines_is_warned_of() -> None:
    finding = find(diagnose(jetson_facts("36.4.3", "10.3.0")), "jetson", "TensorRT 10.3")

    assert finding.ok is False
    assert "silently wrong" in finding.found
    assert "NVIDIA/TensorRT#4419" in finding.found
    assert "on this device" in str(finding.cure)


def test_a_jetpack_that_is_too_old_says_so() -> None:
    finding = find(diagnose(jetson_facts("35.4.1", "8.5.2")), "jetson", "Jetson Linux")

    assert (finding.ok, finding.found) == (False, "35.4.1, JetPack 5.1 or an update of it")
    assert "flash JetPack 6.1" in str(finding.cure)


@pytest.mark.parametrize(
    ("l4t", "ok", "found"),
    [("32.7.1", False, "32.7.1, older than JetPack 5.1"), ("41.0", True, "41.0, newer than this tool knows")],
)
def test_a_jetpack_we_do_not_know_is_placed(l4t: str, ok: bool, found: str) -> None:
    finding = find(diagnose(jetson_facts(l4t, None)), "jetson", "Jetson Linux")

    assert (finding.ok, finding.found) == (ok, found)


def test_a_container_that_hides_the_release_is_told_what_to_mount() -> None:
    finding = find(diagnose(jetson_facts(None, None)), "jetson", "Jetson Linux")

    assert finding.ok is None
    assert "mount /etc/nv_tegra_release" in str(finding.cure)


# The command, for real.


def test_the_command_shows_this_machine_within_80_columns() -> None:
    done = run_briges("doctor")

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert max(map(len, done.stdout.splitlines())) <= 80
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert f"yes onnxruntime {library_version('onnxruntime')}" in lines
    for title in ("This machine", "NVIDIA GPU", "Export: checkpoint -> ONNX", "Run: engine -> depth"):
        assert title in lines
    if not read_driver().devices:
        assert "no GPU no libcuda.so.1: no NVIDIA driver" in lines


def test_with_the_base_install_alone_it_answers_and_fails_as_nothing_runs(tmp_path: Path) -> None:
    hidden = hide_modules(tmp_path, list(MODULES))

    done = run_briges("doctor", "--json", path=[hidden])

    assert done.returncode == 1
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    assert answer["runs"] == []
    assert answer["flavour"] == "onnxruntime"
    absent = {"version": None, "problem": None}
    assert answer["facts"]["packages"] == dict.fromkeys(MODULES, absent)
    missing = {item["name"]: item["cure"] for item in answer["findings"] if item["part"] == "export" and not item["ok"]}
    assert missing["torch"] == missing["opencv"] == "pip install 'briges-trt[export]'"
