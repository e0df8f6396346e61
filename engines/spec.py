"""What to build: the options of one build, and which of them each flavour can honour."""

from __future__ import annotations

from dataclasses import dataclass

from briges.runtime.compatibility import RTX_COMPUTE_CAPABILITIES
from briges.runtime.errors import BrigesError, UnknownNameError, UsageError, unknown_name
from briges.runtime.flavour import LIBRARIES
from briges.runtime.manifest import Flavour

MIN_WORKSPACE_BYTES = 1 << 20
OPTIMIZATION_LEVELS = range(6)

# What people ask it for all the same: these GPUs are served by TensorRT alone.
_NOT_RTX = {
    "7.2": "Xavier",
    "8.7": "Jetson Orin",
    "9.0": "Hopper",
    "10.0": "data-centre Blackwell",
    "10.3": "data-centre Blackwell",
    "11.0": "Jetson Thor",
}


@dataclass(frozen=True)
class EngineSpec:
    """How to build an engine; the defaults leave the choice to the flavour. Raises UsageError for what cannot be.

    workspace_bytes: most device memory one layer may use for scratch.
    optimization_level: 0 (quick build) to 5 (fast engine).
    timing_cache: file in which TensorRT keeps kernel timings from one build to the next; made if it is not there.
    compute_capabilities: the GPUs a TensorRT-RTX engine is compiled for, such as "8.6".
    hardware_compatible: one TensorRT engine for every GPU from Ampere on, at some cost in speed.
    version_compatible: the engine loads in later TensorRT versions too, at some cost in speed.
    strip_weights: the engine is stored without its weights.
    embed_plugin: the engine carries the plugin library within itself, too.
    """

    flavour: Flavour
    workspace_bytes: int | None = None
    optimization_level: int | None = None
    timing_cache: str | None = None
    compute_capabilities: tuple[str, ...] = ()
    hardware_compatible: bool = False
    version_compatible: bool = False
    strip_weights: bool = False
    embed_plugin: bool = False

    def __post_init__(self) -> None:
        if self.flavour not in LIBRARIES:
            raise unknown_name("flavour", self.flavour, LIBRARIES)
        if self.flavour == "onnxruntime":
            self._refuse_all()
        _check_ranges(self)
        if self.flavour == "tensorrt" and self.compute_capabilities:
            raise _impossible(
                f"--compute-capability {self.compute_capabilities[0]}",
                "TensorRT builds for the GPU of the machine that builds",
                "build on the device itself, or use --flavour tensorrt-rtx",
            )
        if self.flavour == "tensorrt-rtx":
            _check_rtx(self)

    def _refuse_all(self) -> None:
        for name, default in _TENSORRT_OPTIONS.items():
            if getattr(self, name) != default:
                raise _impossible(
                    _option(name),
                    "ONNX Runtime takes the graph as it is: only TensorRT has this option",
                    "leave it out, or use --flavour tensorrt or tensorrt-rtx",
                )


_TENSORRT_OPTIONS = {
    name: field.default for name, field in EngineSpec.__dataclass_fields__.items() if name != "flavour"
}


def _check_ranges(spec: EngineSpec) -> None:
    if spec.workspace_bytes is not None and spec.workspace_bytes < MIN_WORKSPACE_BYTES:
        raise UsageError(
            subject="--workspace-bytes",
            came=f"{spec.workspace_bytes} bytes",
            expected=f"at least {MIN_WORKSPACE_BYTES} (1 MiB); the number is in bytes",
            cure="ask for more, such as 1073741824 (1 GiB), or leave it out",
        )
    if spec.optimization_level is not None and spec.optimization_level not in OPTIMIZATION_LEVELS:
        raise UsageError(
            subject="--optimization-level",
            came=str(spec.optimization_level),
            expected=f"{OPTIMIZATION_LEVELS[0]} (quick build) to {OPTIMIZATION_LEVELS[-1]} (fast engine)",
            cure="pick one of these, or leave it out",
        )


def _check_rtx(spec: EngineSpec) -> None:
    if spec.timing_cache is not None:
        raise _impossible(
            "--timing-cache",
            "TensorRT-RTX times nothing while it builds: kernels are chosen on the GPU the engine first runs on",
            "leave it out, or use --flavour tensorrt",
        )
    if spec.hardware_compatible:
        raise _impossible(
            "--hardware-compatible",
            "TensorRT-RTX ignores it: its engines run on every GPU they were compiled for",
            "leave it out, and name other GPUs with --compute-capability",
        )
    if spec.version_compatible:
        raise _impossible(
            "--version-compatible",
            "TensorRT-RTX comes without the lean runtime such engines need",
            "leave it out, or use --flavour tensorrt",
        )
    for number, capability in enumerate(spec.compute_capabilities):
        if capability not in RTX_COMPUTE_CAPABILITIES:
            raise _unknown_capability(capability)
        if capability in spec.compute_capabilities[:number]:
            raise UsageError(
                subject=f"--compute-capability {capability}",
                came="asked for twice",
                expected="each one once",
                cure="leave the second out",
            )


def _unknown_capability(capability: str) -> BrigesError:
    if capability not in _NOT_RTX:
        return unknown_name("--compute-capability", capability, RTX_COMPUTE_CAPABILITIES)
    return UnknownNameError(
        subject=f"--compute-capability {capability}",
        came=f"{_NOT_RTX[capability]}, which TensorRT-RTX cannot build for",
        expected=f"one of {', '.join(RTX_COMPUTE_CAPABILITIES)}",
        cure="build with `--flavour tensorrt` on that device",
    )


def _impossible(option: str, why: str, cure: str) -> UsageError:
    return UsageError(subject=option, came=why, expected="an option the flavour has", cure=cure)


def _option(name: str) -> str:
    return "--compute-capability" if name == "compute_capabilities" else f"--{name.replace('_', '-')}"
