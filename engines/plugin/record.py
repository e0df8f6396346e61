"""The folder `briges plugin` makes: the library, its kernels, and ``plugin.json``, which says what they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from briges.engines.plugin.variants import HalfType
from briges.runtime.errors import BundleError
from briges.runtime.verified import check_files, read_record, require_plain_names

PLUGIN_SCHEMA = 1
LIBRARY_FILE = "libbriges_attention.so"
KERNELS_FILE = "kernels.bin"
TABLE_FILE = "kernels.inc"
REPORT_FILE = "kernels.md"
RECORD_FILE = "plugin.json"
# Where every command looks for it, below the current folder, as `make plugin` puts it there.
DEFAULT_FOLDER = Path("build/plugin")

REMAKE = "build it again with `make plugin` or `briges plugin`"


@dataclass(frozen=True)
class KernelRow:
    """One kernel of the library. ``columns``: see ``variants.COLUMNS``."""

    compute_capability: str
    head_dim: int
    half_type: HalfType
    columns: int


@dataclass(frozen=True)
class PluginBuild:
    """What was built, from what. ``sources``, ``kernel_sources``: hashes of our own files."""

    schema_version: int
    version: str
    sources: str
    kernel_sources: str
    triton: str
    tensorrt_headers: str
    platform: str
    kernels: tuple[KernelRow, ...]
    files: dict[str, str]  # file name -> sha256

    def __post_init__(self) -> None:
        require_plain_names(self.files)

    @property
    def compute_capabilities(self) -> tuple[str, ...]:
        """Those with kernels of their own."""
        return tuple(dict.fromkeys(row.compute_capability for row in self.kernels))

    def has_kernels_for(self, compute_capability: str) -> bool:
        """Whether that GPU runs some of them."""
        return not self.compute_capabilities_for(compute_capability).isdisjoint(self.compute_capabilities)

    def serves(self, compute_capability: str, head_dim: int, half_type: HalfType, columns: int) -> bool:
        """Whether the library has a kernel for it."""
        rows = {(row.compute_capability, row.head_dim, row.half_type, row.columns) for row in self.kernels}
        candidates = self.compute_capabilities_for(compute_capability)
        return any((candidate, head_dim, half_type, columns) in rows for candidate in candidates)

    @staticmethod
    def compute_capabilities_for(compute_capability: str) -> frozenset[str]:
        """Whose kernels run on that GPU, by the rule of kernels.cpp: its own, and from 8.0 on those of 8.0."""
        portable = int(compute_capability.partition(".")[0]) >= 8
        return frozenset({compute_capability, "8.0"} if portable else {compute_capability})


_FILES = (LIBRARY_FILE, KERNELS_FILE, TABLE_FILE, REPORT_FILE)


def read_plugin(folder: Path, files: tuple[str, ...] = _FILES) -> PluginBuild:
    """Read what ``briges plugin`` wrote, and verify ``files`` of it. Raises BundleError."""
    build = read_record(folder / RECORD_FILE, PluginBuild, PLUGIN_SCHEMA, "plugin folder", REMAKE)
    missing = set(files) - build.files.keys()
    if missing:
        raise BundleError(
            subject=f"plugin folder {folder}",
            came=f"{RECORD_FILE} does not list {', '.join(sorted(missing))}",
            expected="the library and its kernels",
            cure=REMAKE,
        )
    check_files(folder, ((name, build.files[name]) for name in files), "plugin folder", REMAKE)
    return build
