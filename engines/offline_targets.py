"""The machines that `briges bundle-offline` can pack for."""

from __future__ import annotations

from dataclasses import dataclass

# Older wheels than these are named by the year of their rule; newer ones by the C library alone.
_OLDEST_GLIBC = 17


@dataclass(frozen=True)
class Target:
    """``python``: its major and minor release. ``glibc``: minor release of its C library 2. ``cuda_major``: that of its
    driver. ``compute_capabilities``: what kernels it must have; empty if any serve. ``pins``: what is installed there
    instead of the releases in constraints.txt.
    """

    name: str
    title: str
    machine: str
    python: str
    glibc: int
    cuda_major: int
    compute_capabilities: tuple[str, ...]
    pins: tuple[str, ...]

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platform tags of wheels that run there, the newest first."""
        named = (f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, _OLDEST_GLIBC - 1, -1))
        return (*named, f"manylinux2014_{self.machine}")

    @property
    def markers(self) -> dict[str, str]:
        """What the conditions of Python packages, such as ``python_version < "3.11"``, are judged by there."""
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "platform_machine": self.machine,
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
        }


_CUDA_13 = ("cuda-bindings>=13,<14",)
# The driver of JetPack 6 is one for CUDA 12.6; filelock 4.1.0 is the newest for its Python.
_JETPACK_6 = ("cuda-bindings>=12.6,<13", "filelock==4.1.0")
TARGETS = {
    target.name: target
    for target in (
        Target("jetson-jp6", "Jetson Orin with JetPack 6.1 to 6.2.2", "aarch64", "3.10", 35, 12, ("8.7",), _JETPACK_6),
        Target(
            "jetson-jp7", "Jetson Orin or Thor with JetPack 7", "aarch64", "3.12", 39, 13, ("8.7", "11.0"), _CUDA_13
        ),
        Target("linux-x86_64", "PC or server with Python 3.11", "x86_64", "3.11", 35, 13, (), _CUDA_13),
    )
}
