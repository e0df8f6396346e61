"""What this machine can export, build and run, and the cure for each thing missing: the findings of `briges doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from briges.runtime.compatibility import NAMES, choose, is_supported
from briges.runtime.facts import BUILD_MODULES, EXPORT_MODULES, Facts, PluginTools
from briges.runtime.flavour import LIBRARIES
from briges.runtime.jetson import OLDEST_SUPPORTED, Jetson, is_supported_release, jetpack_of
from briges.runtime.manifest import Flavour
from briges.runtime.probe import Package

_GIB = 1 << 30
# Peak of `briges export` at the preset's own size, with the check against PyTorch.
EXPORT_PEAK_GIB = {"briges-v2-b": 6, "briges-v2-l": 12}
# https://github.com/spacewalk01/depth-anything-tensorrt/issues/49, https://github.com/NVIDIA/TensorRT/issues/4419
_WRONG_DEPTH = (
    "of JetPack 6 is reported to build ViT depth engines that are silently wrong (spacewalk01/depth-anything-tensorrt"
    "#49, NVIDIA/TensorRT#4419)"
)
_PIP_NAMES = {"cv2": "opencv", "PIL": "pillow"}

Part = Literal["machine", "gpu", "jetson", "export", "build", "run"]


@dataclass(frozen=True)
class Finding:
    """One line of the answer. ``ok``: None for what is neither good nor bad. ``cure``: None where none is needed."""

    part: Part
    name: str
    ok: bool | None
    found: str
    cure: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """``flavour``: what `--flavour auto` builds here, and why. ``runs``: the flavours this machine can run."""

    findings: tuple[Finding, ...]
    flavour: Flavour
    flavour_reason: str
    runs: tuple[Flavour, ...]
    facts: Facts


def diagnose(facts: Facts) -> Diagnosis:
    """Judge what was found."""
    libraries = {flavour: _usable(facts, flavour) for flavour in LIBRARIES}
    flavour, reason = choose(facts.driver, libraries)
    findings = (
        *_machine(facts),
        *_gpu(facts),
        *_jetson(facts.jetson, libraries["tensorrt"]),
        *_export(facts),
        *_build(facts),
        *_plugin(facts.plugin),
        Finding("build", "--flavour auto", None, f"{flavour}: {reason}"),
        *_run(facts),
    )
    runs = tuple(
        name for name in LIBRARIES for item in findings if item.part == "run" and item.name == name and item.ok
    )
    return Diagnosis(findings, flavour, reason, runs, facts)


def _machine(facts: Facts) -> Iterator[Finding]:
    yield Finding("machine", "briges-trt", None, f"{facts.tool_version} on Python {facts.python}")
    yield Finding("machine", "platform", None, f"{facts.platform}, {facts.cores} CPU cores")
    if facts.memory_bytes is not None and facts.memory_free_bytes is not None:
        found = f"{facts.memory_free_bytes / _GIB:.1f} GiB free of {facts.memory_bytes / _GIB:.1f}"
        yield Finding("machine", "memory", None, found)
    yield Finding("machine", "disk", None, f"{facts.disk_free_bytes / _GIB:.1f} GiB free here")


def _gpu(facts: Facts) -> Iterator[Finding]:
    driver = facts.driver
    if driver.missing:
        cure = "install NVIDIA's driver; a container needs --gpus all, on a Jetson --runtime nvidia"
        yield Finding("gpu", "GPU", False, driver.missing, cure)
    for device in driver.devices:
        yield Finding("gpu", "GPU", True, f"{device}, {device.memory_bytes / _GIB:.1f} GiB")
    if driver.cuda is not None:
        yield Finding("gpu", "driver", True, f"supports CUDA up to {driver.cuda}")
    found = ", ".join(f"{name} {version}" for name, version in facts.cuda_packages.items())
    yield Finding("gpu", "cuda-python or pycuda", None, found or "neither; TensorRT engines need one of them")


def _jetson(jetson: Jetson | None, tensorrt: str | None) -> Iterator[Finding]:
    if jetson is None:
        return
    yield Finding("jetson", "model", None, jetson.model or "not known")
    yield Finding("jetson", "power mode", None, jetson.power_mode or "not known: nvpmodel gives no answer here")
    if jetson.l4t is None:
        cure = "in a container, mount /etc/nv_tegra_release of the host"
        yield Finding("jetson", "Jetson Linux", None, "release not known", cure)
        return
    jetpack = jetpack_of(jetson.l4t)
    ok = is_supported_release(jetson.l4t)
    found = f"{jetson.l4t}, {jetpack or ('newer than this tool knows' if ok else 'older than JetPack 5.1')}"
    cure = f"flash JetPack 6.1 (Jetson Linux {OLDEST_SUPPORTED}) or later: Python 3.10, TensorRT 10; none for Xavier"
    yield Finding("jetson", "Jetson Linux", ok, found, None if ok else cure)
    if jetpack is not None:
        found = f"{tensorrt or 'none usable'} here; {jetpack} brings {jetpack.tensorrt}"
        yield Finding("jetson", "TensorRT", None, found)
    if tensorrt is not None and tensorrt.startswith("10.3."):
        cure = "let `briges build` compare the engine with PyTorch on this device, as it does by itself: that finds it"
        yield Finding("jetson", "TensorRT 10.3", False, _WRONG_DEPTH, cure)


def _export(facts: Facts) -> Iterator[Finding]:
    for module in EXPORT_MODULES:
        yield _package_finding("export", _PIP_NAMES.get(module, module), facts.packages[module], "export")
    free = facts.memory_free_bytes
    if free is not None:
        needs = ", ".join(f"{preset} needs about {gib} GiB" for preset, gib in EXPORT_PEAK_GIB.items())
        enough = free >= min(EXPORT_PEAK_GIB.values()) * _GIB
        cure = "export on a larger machine and copy the model folder, or export a smaller preset"
        yield Finding("export", "memory", enough, f"{free / _GIB:.1f} GiB free; {needs}", None if enough else cure)


def _build(facts: Facts) -> Iterator[Finding]:
    lacking = _lacking(facts, BUILD_MODULES)
    for flavour, library in LIBRARIES.items():
        finding = _package_finding("build", flavour, facts.packages[library.module], library.extra)
        version = facts.packages[library.module].version
        if version is not None and not is_supported(flavour, version):
            majors = " or ".join(f"{major}.x" for major in library.majors)
            cure = f"install {NAMES[flavour]} {majors}; on a Jetson, JetPack 6.1 or later"
            finding = Finding("build", flavour, False, f"{version}, which this release is not made for", cure)
        elif version is not None and flavour == "tensorrt" and not facts.driver.devices:
            cure = "build on the device that will run it, or use --flavour tensorrt-rtx, which needs no GPU to build"
            finding = Finding("build", flavour, False, f"{version}, but it builds on a GPU only", cure)
        elif version is not None and lacking:
            finding = Finding("build", flavour, False, f"{version}, but without {lacking}", _pip("build"))
        yield finding


def _plugin(tools: PluginTools) -> Iterator[Finding]:
    """Without it engines are built with native attention, so what is missing is no fault."""
    triton = f"Triton {tools.triton}" if tools.triton else "no Triton: copy build/plugin from a machine that has it"
    if tools.compiler is None:
        found = f"native attention instead, for lack of {tools.missing}"
        yield Finding("build", "attention plugin", None, found, tools.cure)
    else:
        yield Finding("build", "attention plugin", None, f"{tools.compiler}; {triton}")


def _run(facts: Facts) -> Iterator[Finding]:
    for flavour, library in LIBRARIES.items():
        package = facts.packages[library.module]
        lacking = _lacking(facts, (library.module, "cv2", "PIL") if flavour == "onnxruntime" else (library.module,))
        if lacking:
            yield Finding("run", flavour, False, f"without {lacking}", _pip(library.extra))
        elif flavour == "onnxruntime":
            yield Finding("run", flavour, True, f"{package.version}")
        elif not facts.driver.devices:
            cure = "run on a machine with an NVIDIA GPU, or build with --flavour onnxruntime"
            yield Finding("run", flavour, False, f"{package.version}, but without a GPU", cure)
        elif not facts.cuda_packages:
            found = f"{package.version}, but without cuda-python or pycuda"
            yield Finding("run", flavour, False, found, _pip("cuda"))
        else:
            yield Finding("run", flavour, True, f"{package.version}")


def _lacking(facts: Facts, modules: Iterable[str]) -> str:
    """Those of ``modules`` that cannot be used here, for people; empty if all can."""
    return ", ".join(_PIP_NAMES.get(name, name) for name in modules if facts.packages[name].version is None)


def _package_finding(part: Part, name: str, package: Package, extra: str) -> Finding:
    if package.version is not None:
        return Finding(part, name, True, package.version)
    found = f"cannot be loaded: {package.problem}" if package.problem else "not installed"
    return Finding(part, name, False, found, _pip(extra))


def _pip(extra: str) -> str:
    return f"pip install 'briges-trt[{extra}]'"


def _usable(facts: Facts, flavour: Flavour) -> str | None:
    return facts.packages[LIBRARIES[flavour].module].version
