"""Whether this machine can run a bundle, judged from the manifest alone, before any engine file is opened.

An engine is native code for one TensorRT release and some GPU architectures; on others it fails late, or crashes. The
rules are NVIDIA's: the pages "Engine Compatibility" of the TensorRT 11 and the TensorRT-RTX documentation, the engine
portability notes of TensorRT's support matrix, and "CPU-Only AOT" of TensorRT-RTX.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata

from briges.runtime.errors import BackendError, MissingExtraError
from briges.runtime.flavour import LIBRARIES, library_version
from briges.runtime.gpu import Device, Driver, read_driver
from briges.runtime.manifest import Flavour, Manifest
from briges.runtime.versions import parse_version

NAMES: dict[Flavour, str] = {
    "onnxruntime": "ONNX Runtime",
    "tensorrt": "TensorRT",
    "tensorrt-rtx": "TensorRT-RTX",
}
# Of the newer major releases, those that load the version-compatible engines of an older one.
_NEXT_MAJOR = {10: (11,)}
_WHEELS: dict[Flavour, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt-rtx-cu13"}
# What TensorRT-RTX can compile for, and what it does compile for if its builder is not told: all but Turing.
RTX_COMPUTE_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
RTX_DEFAULT_COMPUTE_CAPABILITIES = RTX_COMPUTE_CAPABILITIES[1:]
_AMPERE = (8, 0)
# The oldest driver branch for a CUDA release.
_DRIVER_BRANCH = {12: "r525", 13: "r580"}


@dataclass(frozen=True)
class Machine:
    """What this machine has to run the bundles of one flavour.

    ``library``: the exact version of the flavour's library, None if it is not installed. ``library_cuda``: the major
    CUDA release that library was made for, None where its package does not say. ``device``: which of the driver's
    devices is to run it.
    """

    platform: str  # "Linux x86_64"
    library: str | None
    library_cuda: int | None
    driver: Driver
    device: int = 0


@dataclass(frozen=True)
class Refusal:
    """One reason why a bundle cannot run."""

    came: str
    expected: str
    cure: str
    not_installed: bool = False


def this_platform() -> str:
    """The operating system and processor, as ``Host.platform`` in a manifest."""
    return f"{platform.system()} {platform.machine()}"


def this_machine(flavour: Flavour, device: int = 0) -> Machine:
    """Look at this machine; the driver is asked only where the flavour needs it."""
    driver = Driver(None, (), "not asked") if flavour == "onnxruntime" else read_driver()
    return Machine(this_platform(), library_version(flavour), _library_cuda(flavour), driver, device)


def choose_flavour() -> tuple[Flavour, str]:
    """What `--flavour auto` builds on this machine, and why, in one sentence."""
    return choose(read_driver(), {flavour: library_version(flavour) for flavour in LIBRARIES})


def choose(driver: Driver, libraries: dict[Flavour, str | None]) -> tuple[Flavour, str]:
    """The rule of ``choose_flavour``: TensorRT where it can build, else TensorRT-RTX where it is there, else neither.

    ``libraries``: their versions, None where not installed.
    """
    tensorrt, rtx = libraries["tensorrt"], libraries["tensorrt-rtx"]
    if tensorrt is None:
        without = "TensorRT is not installed"
    elif not is_supported("tensorrt", tensorrt):
        without = f"TensorRT {tensorrt} is not a release this toolchain is made for"
    elif driver.devices:
        return "tensorrt", f"TensorRT {tensorrt} is installed and has a GPU here, {driver.devices[0].name}"
    else:
        without = f"TensorRT {tensorrt} builds on a GPU only, and none can be used here ({driver.missing})"
    if rtx is not None and is_supported("tensorrt-rtx", rtx):
        return "tensorrt-rtx", f"TensorRT-RTX {rtx} is installed and builds without a GPU; {without}"
    return "onnxruntime", f"ONNX Runtime runs everywhere; {without}, and there is no TensorRT-RTX 1.x"


def is_supported(flavour: Flavour, version: str) -> bool:
    """Whether our code is written for this release of the flavour's library."""
    return parse_version(version)[0] in LIBRARIES[flavour].majors


def require_runnable(manifest: Manifest, device: int = 0) -> None:
    """Refuse a bundle that GPU number ``device`` of this machine cannot run, with the most decisive reason.

    Raises MissingExtraError if that is a library which is not installed, BackendError otherwise.
    """
    reasons = reasons_not_runnable(manifest, this_machine(manifest.flavour, device))
    if reasons:
        kind = MissingExtraError if reasons[0].not_installed else BackendError
        raise kind(
            subject=f"bundle for {NAMES[manifest.flavour]} {manifest.flavour_version}",
            came=reasons[0].came,
            expected=reasons[0].expected,
            cure=reasons[0].cure,
        )


def reasons_not_runnable(manifest: Manifest, machine: Machine) -> list[Refusal]:
    """Every reason why ``machine`` cannot run the bundle, the most decisive first; empty if it can."""
    checks: Sequence[Callable[[Manifest, Machine], Refusal | None]] = (
        _check_weights,
        _check_device,
        _check_platform,
        _check_installed,
        _check_version,
        _check_driver,
    )
    if manifest.flavour == "onnxruntime":
        checks = (_check_installed,)
    return [reason for check in checks if (reason := check(manifest, machine)) is not None]


def _check_device(manifest: Manifest, machine: Machine) -> Refusal | None:
    if not machine.driver.devices:
        return Refusal(
            f"no NVIDIA GPU can be used here ({machine.driver.missing})",
            f"a GPU of compute capability {_targets(manifest)}, and its driver",
            f"install NVIDIA's driver; where there is no GPU, {_rebuild('onnxruntime')}",
        )
    devices = dict(enumerate(machine.driver.devices))
    device = devices.pop(machine.device, None)
    if device is None:
        listed = ", ".join(f"{index}: {other.name}" for index, other in devices.items())
        return Refusal(f"GPU number {machine.device} was asked for", f"one of {listed}", "name one of these")
    if _serves(manifest, device):
        return None
    cure = _rebuild(manifest.flavour)
    if manifest.flavour == "tensorrt-rtx":
        known = device.compute_capability in RTX_COMPUTE_CAPABILITIES
        # It has no kernels for Orin, Thor, Hopper and the B200.
        cure = _rebuild("tensorrt-rtx", device.compute_capability) if known else _rebuild("tensorrt")
    for index, other in devices.items():
        if _serves(manifest, other):
            cure = f"use the {other.name} with device={index}, or CUDA_VISIBLE_DEVICES={index}; or {cure}"
            break
    return Refusal(f"the GPU here is {device}", f"compute capability {_targets(manifest)}", cure)


def _check_platform(manifest: Manifest, machine: Machine) -> Refusal | None:
    # Engines of TensorRT-RTX are portable, those of TensorRT are not.
    built_on = manifest.host.platform
    if manifest.flavour == "tensorrt-rtx" or built_on == machine.platform:
        return None
    return Refusal(f"this machine is {machine.platform}", f"{built_on}, where it was built", _rebuild("tensorrt"))


def _check_installed(manifest: Manifest, machine: Machine) -> Refusal | None:
    if machine.library is not None:
        return None
    name, version, library = NAMES[manifest.flavour], manifest.flavour_version, LIBRARIES[manifest.flavour]
    which = "which runs this bundle" if manifest.flavour == "onnxruntime" else f"exactly {version}"
    came = f"the package {library.module} is not installed, or cannot be loaded: `briges doctor` says which"
    pinned = f" '{_WHEELS[manifest.flavour]}=={version}'" if manifest.flavour in _WHEELS else ""
    cure = f"pip install 'briges-trt[{library.extra}]'{pinned}"
    return Refusal(came, f"{name}, {which}", cure, not_installed=True)


def _check_version(manifest: Manifest, machine: Machine) -> Refusal | None:
    name, built, found = NAMES[manifest.flavour], manifest.flavour_version, machine.library
    if found is None or found == built:
        return None
    # TensorRT-RTX has the same flag, and yet its engines load in no other release.
    forward = manifest.flavour == "tensorrt" and manifest.options.version_compatible
    later = parse_version(found) >= parse_version(built)
    if forward and later and parse_version(found)[0] in _later_majors(built):
        return None
    expected = f"{name} {built}, with which it was built"
    if forward:
        expected += f", or a later {' or '.join(f'{major}.x' for major in _later_majors(built))}"
    cure = f"pip install '{_WHEELS[manifest.flavour]}=={built}', or {_rebuild(manifest.flavour)}"
    return Refusal(f"{name} {found} is installed", expected, cure)


def _check_driver(manifest: Manifest, machine: Machine) -> Refusal | None:
    cuda, needed = machine.driver.cuda, machine.library_cuda
    if cuda is None or needed is None or parse_version(cuda)[0] >= needed:
        return None
    branch = f" ({_DRIVER_BRANCH[needed]} or newer)" if needed in _DRIVER_BRANCH else ""
    return Refusal(
        f"the NVIDIA driver supports CUDA up to {cuda}",
        f"CUDA {needed}, for which the {NAMES[manifest.flavour]} installed here was made",
        f"update the NVIDIA driver{branch}",
    )


def _check_weights(manifest: Manifest, _machine: Machine) -> Refusal | None:
    if not manifest.options.strip_weights:
        return None
    return Refusal(
        "the engine was built with --strip-weights",
        "an engine that holds its weights: this release does not put them back",
        f"{_rebuild(manifest.flavour)}, without --strip-weights",
    )


def _serves(manifest: Manifest, device: Device) -> bool:
    if manifest.flavour == "tensorrt" and manifest.options.hardware_compatible:
        return parse_version(device.compute_capability) >= _AMPERE
    known = _compute_capabilities(manifest)
    return device.compute_capability in known if known else device.name == manifest.host.device


def _targets(manifest: Manifest) -> str:
    if manifest.flavour == "tensorrt" and manifest.options.hardware_compatible:
        return "8.0 or newer"
    return " or ".join(_compute_capabilities(manifest)) or f"that of {manifest.host.device}, on which it was built"


def _compute_capabilities(manifest: Manifest) -> tuple[str, ...]:
    default = RTX_DEFAULT_COMPUTE_CAPABILITIES if manifest.flavour == "tensorrt-rtx" else ()
    return manifest.options.compute_capabilities or default


def _later_majors(built: str) -> list[int]:
    major = parse_version(built)[0]
    return [major, *_NEXT_MAJOR.get(major, ())]


def _library_cuda(flavour: Flavour) -> int | None:
    # NVIDIA's wheels say it in their names; on a Jetson the library comes with the driver it fits.
    for major in _DRIVER_BRANCH:
        try:
            metadata.version(f"{flavour}-cu{major}")
        except metadata.PackageNotFoundError:
            continue
        return major
    return None


def _rebuild(flavour: Flavour, compute_capability: str | None = None) -> str:
    target = f" --compute-capability {compute_capability}" if compute_capability else ""
    command = f"briges build MODEL_DIR --out BUNDLE --flavour {flavour}{target}"
    make = f"make engine FLAVOUR={flavour}"
    if compute_capability:
        make += f' BUILD="--compute-capability {compute_capability}"'
    return f"build it again for this machine with `{command}`, or with `{make}`"
