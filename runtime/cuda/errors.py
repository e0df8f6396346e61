"""What the CUDA driver answers, in words: what it means here, and what helps."""

from __future__ import annotations

from briges.runtime.errors import BackendError

_RESTART = "restart the process: after this error CUDA does nothing more in it"
_UPDATE = "update the NVIDIA driver; on a Jetson, flash a newer JetPack"

# CUresult of the driver interface: what came, what was expected, the cure.
_KNOWN: dict[int, tuple[str, str, str]] = {
    3: (
        "the driver is not initialised in this process",
        "CUDA made in this process",
        "make the estimator after the fork",
    ),
    4: ("the driver is shutting down", "a call before the program ends", "close the estimator before the program ends"),
    34: (
        "CUDA's stub library is loaded, which is for linking only",
        "the NVIDIA driver's libcuda",
        "take the folder `stubs` out of LD_LIBRARY_PATH",
    ),
    36: ("the driver is older than the CUDA package", "a driver for its CUDA release", _UPDATE),
    46: (
        "another process has the GPU to itself",
        "a GPU that can be shared",
        "end what `nvidia-smi` lists, or set its compute mode to Default",
    ),
    100: ("the driver finds no GPU", "an NVIDIA GPU", "a container needs --gpus all, on a Jetson --runtime nvidia"),
    201: (
        "no CUDA context is current in this thread",
        "calls by the estimator alone",
        "report this: it is a bug of ours",
    ),
    209: (
        "no kernel for this GPU is in the file",
        "a GPU of compute capability 7.5 or newer",
        "`briges doctor` names the GPU; on an older one run a bundle built with --flavour onnxruntime",
    ),
    218: ("the driver cannot compile the kernels", "PTX as this release carries it", "install briges-trt again"),
    221: (
        "the driver's PTX compiler, libnvidia-ptxjitcompiler, is not there",
        "a whole driver",
        "a container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility; else install the NVIDIA driver again",
    ),
    222: ("the driver is too old for the kernels' PTX", "a driver for CUDA 12.0 or newer", _UPDATE),
    719: ("a kernel failed", "work that ends", _RESTART),
    702: ("a kernel ran too long and was ended", "a GPU that no screen needs", _RESTART),
    803: ("the driver and the CUDA libraries do not fit together", "a driver for these libraries", _UPDATE),
}
_STICKY = frozenset((700, 702, 710, 714, 715, 716, 717, 718, 719, 999))
_CAPTURE = range(900, 909)
OUT_OF_MEMORY = 2


def cuda_error(code: int, name: str, doing: str, *, detail: str = "") -> BackendError:
    """The error for a call that the driver answered with ``code``.

    name: of the code, such as "CUDA_ERROR_ILLEGAL_ADDRESS". doing: what was tried, such as "copying 4096 bytes".
    detail: what else is known.
    """
    said = f" ({detail})" if detail else ""
    if code in _STICKY and code not in _KNOWN:
        came, expected, cure = (
            "something wrote or read where it must not, or the GPU failed",
            "work that ends",
            _RESTART,
        )
    elif code in _CAPTURE:
        came, expected = "this cannot be recorded in a CUDA graph", "work that can"
        cure = 'leave cuda_graph at "auto", or set it to False'
    else:
        unknown = ("the driver refused", "a call that succeeds", "`briges doctor` shows driver and GPU; report this")
        came, expected, cure = _KNOWN.get(code, unknown)
    return BackendError(
        subject=f"CUDA, {doing}", came=f"{came}: {name}, error {code}{said}", expected=expected, cure=cure
    )


def memory_error(what: str, asked_bytes: int, free_bytes: int | None) -> BackendError:
    """The error for memory that is not there. what: such as "device memory"; free_bytes: None where nobody knows."""
    free = "" if free_bytes is None else f", {free_bytes / 1e6:.1f} MB are free"
    return BackendError(
        subject=f"CUDA, {what}",
        came=f"{asked_bytes / 1e6:.1f} MB were asked for{free}",
        expected="that much free memory on the GPU",
        cure="close what else uses the GPU, share activations between clones, or take a smaller input size or preset",
    )


def no_driver(error: Exception) -> BackendError:
    """The error for a driver library that is not there, or too old to have what we call."""
    return BackendError(
        subject="CUDA",
        came=f"the NVIDIA driver cannot be loaded: {str(error).strip().partition(chr(10))[0]}",
        expected="a GPU and its driver",
        cure="install NVIDIA's driver; where there is no GPU, build the bundle with --flavour onnxruntime",
    )


def no_such_device(index: int, count: int) -> BackendError:
    """The error for a GPU that is not there."""
    there = "only number 0 is" if count == 1 else f"they are 0 to {count - 1}"
    return BackendError(
        subject="CUDA",
        came=f"GPU number {index} was asked for, and {there} here",
        expected="the number of a GPU of this machine",
        cure="leave `device` out, or look at `briges doctor` and CUDA_VISIBLE_DEVICES",
    )
