"""The machines that `briges bundle-offline` can pack for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Older wheels than these are named by the year of their rule; newer ones by the C library alone.
_OLDEST_GLIBC = 17


@dataclass(frozen=True)
class Target:
    """``python``: its major and minor release. ``glibc``: minor release of its C library 2. ``cuda_major``: that of its
    driver. ``compute_capabilities``: what kernels it must have; empty if any serve.
    """

    name: str
    title: str
    machine: str
    python: str
    glibc: int
    cuda_major: int
    compute_capabilities: tuple[str, ...]

    @property
    def cuda_bindings(self) -> str:
        """The requirement that brings cuda-python's bindings for that driver."""
        oldest = "12.6" if self.cuda_major == 12 else str(self.cuda_major)
        return f"cuda-bindings>={oldest},<{self.cuda_major + 1}"

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platform tags of wheels that run there, the newest first."""
        named = (f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, _OLDEST_GLIBC - 1, -1))
        return (*named, f"manylinux2014_{self.machine}")

    @property
    def markers(self) -> dict[str, str]:
        """What the conditions of Python packages, such as ``python_version < "3.11"``, are judged by there."""
        return dict(self._markers())

    def _markers(self) -> Iterator[tuple[str, str]]:
        yield "python_version", self.python
        yield "python_full_version", f"{self.python}.0"
        yield "implementation_version", f"{self.python}.0"
        yield "platform_machine", self.machine
        yield from (("sys_platform", "linux"), ("platform_system", "Linux"), ("os_name", "posix"))
        yield from (("implementation_name", "cpython"), ("platform_python_implementation", "CPython"))


TARGETS = {
    target.name: target
    for target in (
        Target("jetson-jp6", "Jetson Orin with JetPack 6.1 to 6.2.2", "aarch64", "3.10", 35, 12, ("8.7",)),
        Target("jetson-jp7", "Jetson Orin or Thor with JetPack 7", "aarch64", "3.12", 39, 13, ("8.7", "11.0")),
        Target("linux-x86_64", "PC or server with Python 3.11", "x86_64", "3.11", 35, 13, ()),
    )
}
