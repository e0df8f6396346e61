"""One weight file to named float32 tensors. Nothing in a file is ever executed."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from briges.runtime.errors import CheckpointError

# Training scripts wrap the weights in one of these.
_CONTAINERS = ("model_state_dict", "state_dict", "model")
_SUFFIXES = (".pth", ".pt", ".safetensors")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .pth, .pt or .safetensors file: container unwrapped, `module.` (of DistributedDataParallel) stripped.

    Tensors keep their stored type and stay on disk until touched where the format allows it.
    Raises CheckpointError for a file that is missing, damaged, pickled code, or no state dict.
    """
    if path.suffix not in _SUFFIXES:
        raise _refused(path, f"a {path.suffix or 'suffix-less'} file", "give the weight file itself")
    if not path.is_file():
        came = "is a folder" if path.is_dir() else "does not exist"
        raise _refused(path, came, "check the path; `briges fetch` downloads the public files")
    if path.stat().st_size == 0:
        raise _refused(path, "is empty", "download or copy it again")
    raw = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    return _state_dict(path, raw)


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _refused(path, f"is damaged: {error}", "download or copy it again") from error


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error) or "Unsupported" in str(error):
            came = f"holds pickled code or objects, which are never run: {_first_line(error)}"
            raise _refused(path, came, "save the bare state dict: torch.save(model.state_dict(), path)") from error
        raise _refused(path, f"is damaged: {_first_line(error)}", "download or copy it again") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise _refused(path, f"is damaged: {_first_line(error)}", "download or copy it again") from error


def _state_dict(path: Path, raw: object) -> dict[str, Tensor]:
    for _ in _CONTAINERS:  # containers nest at most this deep
        inner = next((raw[name] for name in _CONTAINERS if name in raw), None) if isinstance(raw, Mapping) else None
        if not isinstance(inner, Mapping):
            break
        raw = inner
    if not isinstance(raw, Mapping) or not raw or not all(isinstance(value, Tensor) for value in raw.values()):
        raise _refused(
            path, f"holds {_describe(raw)}", "save the bare state dict: torch.save(model.state_dict(), path)"
        )
    tensors = {str(key).replace("module.", ""): value for key, value in raw.items()}
    if len(tensors) != len(raw):
        raise _refused(path, "has keys that differ only in `module.`", "save one model's state dict")
    return tensors


def _describe(raw: object) -> str:
    if not isinstance(raw, Mapping):
        return f"a {type(raw).__name__}"
    if not raw:
        return "an empty dictionary"
    odd = next(key for key, value in raw.items() if not isinstance(value, Tensor))
    return f"{odd!r}: {type(raw[odd]).__name__}, which is no tensor"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    # torch explains at length what weights_only is; its last useful words follow "Error:" or stand on the first line.
    for line in text.splitlines():
        if "Unsupported" in line or "GLOBAL" in line:
            return line.strip()[:200]
    return text.splitlines()[0][:200] if text else type(error).__name__


def _refused(path: Path, came: str, cure: str) -> CheckpointError:
    return CheckpointError(
        subject=f"weight file {path}", came=came, expected=f"a state dict in a {', '.join(_SUFFIXES)} file", cure=cure
    )
