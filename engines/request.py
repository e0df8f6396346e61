"""What one build is asked for, how the same request is recognised again, and that one at a time writes a bundle."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from briges.engines.attention_choice import Asked, Choice
from briges.engines.engine_run import why_not
from briges.engines.plugin.record import DEFAULT_FOLDER
from briges.engines.repair import require_wider
from briges.engines.spec import EngineSpec
from briges.engines.trt_log import is_log
from briges.runtime import contracts
from briges.runtime.agreement import Precision
from briges.runtime.errors import BuildError, BundleError, UsageError
from briges.runtime.files import sha256_of, translated
from briges.runtime.flavour import library_version
from briges.runtime.gpu import read_driver
from briges.runtime.manifest import Manifest, read_manifest
from briges.runtime.sidecar import ModelSpec


@dataclass(frozen=True)
class BuildRequest:
    """What to build, and what to do if its output is wrong.

    split: three engines instead of one. repair: the precision for parts that lose accuracy; None leaves them alone.
    allow_unverified: keep a bundle that fails its gate; it says so at every use. force: build what is up to date, too.
    log_file: where TensorRT's log goes; None for beside the bundle. attention: see ``choose_attention``.
    plugin_folder: where the plugin's library is, or is to be built.
    """

    spec: EngineSpec
    split: bool = False
    repair: Precision | None = None
    allow_unverified: bool = False
    force: bool = False
    log_file: Path | None = None
    attention: Asked = "auto"
    plugin_folder: Path = DEFAULT_FOLDER


def check_request(model_folder: Path, model: ModelSpec, out: Path, request: BuildRequest) -> None:
    """Refuse what can be told to be impossible before minutes of work. Raises UsageError."""
    if not Path(os.path.realpath(out)).name:
        raise UsageError(
            subject=f"--out {out}",
            came="is the root of the file system",
            expected="a folder that may be made and replaced",
            cure="choose another folder with --out",
        )
    if Path(os.path.realpath(model_folder)) in (place := Path(os.path.realpath(out)), *place.parents):
        raise UsageError(
            subject=f"--out {out}",
            came=f"lies in the model folder {model_folder}",
            expected="a place outside it: a model folder holds the files it lists alone",
            cure="choose a folder beside it with --out",
        )
    if request.spec.strip_weights and request.spec.flavour == "tensorrt-rtx" and not read_driver().devices:
        raise UsageError(
            subject="--strip-weights",
            came="asked for on a machine without an NVIDIA GPU",
            expected="a GPU: TensorRT-RTX strips weights with its help alone",
            cure="leave it out, or build on a machine with a GPU",
        )
    if request.spec.flavour == "onnxruntime" and "bf16" in (model.precision, request.repair):
        raise UsageError(
            subject="--repair bf16" if request.repair == "bf16" else f"model {model_folder}",
            came="bf16, for --flavour onnxruntime",
            expected="fp32 or fp16: ONNX Runtime has no bfloat16 on a CPU",
            cure="use fp32 or fp16 instead, or build with --flavour tensorrt-rtx",
        )
    if request.repair:
        require_wider(model, request.repair)
        if model.reference is None:
            raise UsageError(
                subject="--repair",
                came=f"asked for {model_folder}, which was exported with --no-verify",
                expected="a model with fp32 PyTorch's depth of the photographs, to tell what loses accuracy",
                cure="export it without --no-verify, or leave out --repair",
            )
    log_file = log_file_of(out, request)
    _check_place("--log-file", log_file, model_folder, out)
    if request.log_file is not None and not is_log(log_file):
        raise UsageError(
            subject=f"--log-file {log_file}",
            came="holds something that is no log of a build",
            expected="a log to be replaced, or nothing yet",
            cure="name another file, or leave it out: the log then lies beside the bundle",
        )
    if request.spec.timing_cache is not None:
        _check_timing_cache(Path(request.spec.timing_cache), log_file, model_folder, out)


def log_file_of(out: Path, request: BuildRequest) -> Path:
    """Where TensorRT's log goes."""
    return request.log_file or beside(out, ".log")


def _check_timing_cache(timing_cache: Path, log_file: Path, model_folder: Path, out: Path) -> None:
    _check_place("--timing-cache", timing_cache, model_folder, out)
    if os.path.realpath(timing_cache) == os.path.realpath(log_file):
        raise UsageError(
            subject=f"--timing-cache {timing_cache}",
            came="is the file of the log too",
            expected="a file of its own",
            cure="name another file",
        )
    if not os.access(timing_cache.parent, os.W_OK):  # told now, not when the engine is there and the cache cannot be
        raise UsageError(
            subject=f"--timing-cache {timing_cache}",
            came="cannot be written there" if timing_cache.parent.is_dir() else "its folder does not exist",
            expected="a file in a folder you may write to",
            cure="name another file, or make the folder",
        )


def _check_place(option: str, path: Path, model_folder: Path, out: Path) -> None:
    if path.is_dir():
        raise UsageError(
            subject=f"{option} {path}",
            came="is a folder",
            expected="a file, or nothing yet",
            cure=f"name a file with {option}",
        )
    for folder in (model_folder, out):
        if Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents:
            raise UsageError(
                subject=f"{option} {path}",
                came=f"lies in {folder}",
                expected="a place outside the model folder and the bundle, which hold listed files alone",
                cure="name another file",
            )


def request_key(model_folder: Path, request: BuildRequest, choice: Choice) -> str:
    """A hash of everything that determines the bundle: the model, the options and what builds it."""
    flavour = request.spec.flavour
    options = dataclasses.asdict(request.spec)
    del options["timing_cache"]  # it makes builds quicker and nothing else
    devices = read_driver().devices if flavour == "tensorrt" else ()
    determined_by = [
        sha256_of(model_folder / contracts.SIDECAR_FILE),  # which has the hashes of the other files
        options,
        request.split,
        request.repair,
        [choice.lowering, choice.plugin_library.sha256 if choice.plugin_library else choice.fell_back],
        library_version(flavour),
        [device.compute_capability for device in devices[:1]],
        metadata.version("briges-trt"),
    ]
    return hashlib.sha256(json.dumps(determined_by).encode()).hexdigest()


def up_to_date(out: Path, key: str, request: BuildRequest) -> Manifest | None:
    """The manifest of ``out`` if it is an undamaged bundle of this very request, with a verdict it may have."""
    try:
        manifest = read_manifest(out)
    except BundleError:
        return None
    gate = manifest.gate
    acceptable = gate is None or gate.passed or request.allow_unverified
    # An engine that could not run when it was built, and can now, has a part of its gate before it.
    owed = gate is not None and any(row.subject == "engine" and row.skipped for row in gate.rows)
    if manifest.request != key or not acceptable or (owed and why_not(manifest) is None):
        return None
    return manifest


def beside(out: Path, ending: str) -> Path:
    """The path of what a build keeps beside the bundle ``out``, such as its log."""
    named = Path(os.path.realpath(out)) if out.name in ("", "..") else out
    return named.with_name(f"{named.name}{ending}")


@contextlib.contextmanager
def only_one(out: Path) -> Iterator[None]:
    """Hold the lock of the bundle ``out``. Raises BuildError if another build of it is running, OutputError."""
    from filelock import FileLock, Timeout

    target = Path(os.path.realpath(out))  # however the folder is called: through a link, or as "."
    lock = target.with_name(f".{target.name}.lock")
    with translated(out):
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()  # filelock takes it for a lock of somebody else where this is impossible
        try:
            held = FileLock(lock, timeout=0).acquire()
        except Timeout as error:  # here, since it is an OSError
            raise BuildError(
                subject=f"bundle {out}",
                came="is being built by another process",
                expected="one build of a bundle at a time",
                cure="wait for it, or choose another folder with --out",
            ) from error
    with held:
        yield
