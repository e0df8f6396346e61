"""`briges bundle-offline`: the project, its dependencies, the plugin and models in one folder for a device without a
network."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from briges.engines.offline_folder import (
    OFFLINE_SCHEMA,
    RECORD_FILE,
    SUMS_FILE,
    OfflineBundle,
    files_below,
    replacing_tree,
)
from briges.engines.offline_targets import TARGETS, Target
from briges.engines.offline_texts import install_script, readme
from briges.engines.offline_wheels import build_wheel, download_wheels, hashed_requirements, target_constraints
from briges.engines.plugin.build_library import ready_plugin
from briges.engines.plugin.record import DEFAULT_FOLDER
from briges.engines.plugin.record import RECORD_FILE as PLUGIN_RECORD
from briges.engines.watcher import Watcher
from briges.runtime import contracts
from briges.runtime.errors import UsageError, unknown_name
from briges.runtime.files import sha256_of
from briges.runtime.inspection import read_folder
from briges.runtime.records import to_json
from briges.runtime.sidecar import ModelSpec

# What builds and runs engines, beside the TensorRT of the system.
_ROOT = Requirement("briges-trt[build,cuda]")


def bundle_offline(target_name: str, out: Path, include: Sequence[Path], checkout: Path, watcher: Watcher) -> str:
    """Write the folder ``out`` for the machine ``target_name``; returns what to tell of it, for people.

    include: model folders and engine bundles to bring along, verified first. checkout: the root of our sources; if
    its build/plugin exists, its kernels come along, brought up to date first.
    Raises UnknownNameError, UsageError for ``checkout`` or two folders of one name, BundleError for a damaged folder,
    OutputError for a place that cannot be written or holds something else, DownloadError, BuildError.
    """
    if target_name not in TARGETS:
        raise unknown_name("--target", target_name, TARGETS)
    target = TARGETS[target_name]
    _require_checkout(checkout)
    with replacing_tree(out) as work, tempfile.TemporaryDirectory(prefix="briges-") as temporary:
        included = _copy_included(include, work, watcher)
        plugin = _copy_plugin(checkout / DEFAULT_FOLDER, work, target, watcher)
        _collect_wheels(checkout, Path(temporary), work, target, watcher)
        bundle = OfflineBundle(
            schema_version=OFFLINE_SCHEMA,
            target=target.name,
            tool_version=metadata.version("briges-trt"),
            python=target.python,
            machine=target.machine,
            cuda_major=target.cuda_major,
            plugin=plugin,
            included=included,
            files={},
        )
        watcher.step("hashing the files")
        seal(work, bundle)
    return _summary(out, bundle)


def seal(work: Path, bundle: OfflineBundle) -> None:
    """Add the texts, the record and the hashes to a folder that holds all else."""
    (work / "requirements.txt").write_text(hashed_requirements((work / "wheels").glob("*.whl")), encoding="utf-8")
    (work / "install.sh").write_text(install_script(bundle), encoding="utf-8")
    (work / "install.sh").chmod(0o755)
    (work / "README.txt").write_text(readme(bundle), encoding="utf-8")
    files = {name: sha256_of(work / name) for name in files_below(work)}
    (work / RECORD_FILE).write_text(to_json(dataclasses.replace(bundle, files=files)), encoding="utf-8")
    files[RECORD_FILE] = sha256_of(work / RECORD_FILE)
    # Two spaces, as sha256sum reads it.
    (work / SUMS_FILE).write_text("".join(f"{sha}  {name}\n" for name, sha in files.items()), encoding="utf-8")


def _require_checkout(folder: Path) -> None:
    try:
        is_ours = "name = briges-trt" in (folder / "setup.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        is_ours = False
    if not is_ours:
        raise UsageError(
            subject=f"folder {folder}",
            came="it is not a source checkout of briges-trt",
            expected="setup.cfg of briges-trt in the current folder, since the wheel is built from it",
            cure="git clone the project and run this in its root, or `make bundle-offline` there",
        )


def _copy_included(folders: Sequence[Path], work: Path, watcher: Watcher) -> tuple[str, ...]:
    names = []
    for folder in folders:
        # Of two parts, as most of them are called "model" or "engine".
        name = "-".join(folder.resolve().parts[1:][-2:])  # without the root
        if name in names:
            raise UsageError(
                subject=f"--include {folder}",
                came=f"another folder is called {name} too",
                expected="folders of different names",
                cure="name it once, or rename one of them",
            )
        watcher.step(f"verifying and copying {folder}")
        found = read_folder(folder)
        record = contracts.SIDECAR_FILE if isinstance(found, ModelSpec) else contracts.MANIFEST_FILE
        _copy(folder, (record, *found.files), work / "included" / name)
        names.append(name)
    return tuple(names)


def _copy_plugin(folder: Path, work: Path, target: Target, watcher: Watcher) -> bool:
    if not (folder / PLUGIN_RECORD).is_file():
        return False
    built = ready_plugin(folder, watcher, needed=target.compute_capabilities)
    _copy(folder, (PLUGIN_RECORD, *built.files), work / DEFAULT_FOLDER)
    return True


def _copy(source: Path, names: Iterable[str], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in names:
        shutil.copyfile(source / name, folder / name)


def _collect_wheels(checkout: Path, temporary: Path, work: Path, target: Target, watcher: Watcher) -> None:
    def say(line: str) -> None:
        watcher.progress(line, 0, 0)

    watcher.step("building the project's wheel")
    wheel = build_wheel(checkout, temporary, say)
    constraints = temporary / "constraints.txt"
    constraints.write_text(target_constraints((checkout / constraints.name).read_text(encoding="utf-8"), target))
    watcher.step(f"downloading wheels for CPython {target.python} on {target.machine}")
    download_wheels(_ROOT, wheel, target, constraints, work / "wheels", say)


def _summary(out: Path, bundle: OfflineBundle) -> str:
    size_mb = sum((out / name).stat().st_size for name in files_below(out)) / 1e6
    wheels = len(list((out / "wheels").glob("*.whl")))
    plugin = (
        "the attention plugin's kernels; the device compiles its C++ part"
        if bundle.plugin
        else "no attention plugin, for lack of build/plugin: engines built there have native attention. "
        "`briges plugin` makes it"
    )
    lines = [f"{out}: {size_mb:.0f} MB for {TARGETS[bundle.target].title}", f"  {wheels} wheels", f"  {plugin}"]
    lines += [f"  {name}" for name in bundle.included]
    lines.append(f"  copy it there and run: sh {out.name}/install.sh")
    return "\n".join(lines)
