"""One weight file to named float32 tensors. Nothing in a file is ever executed."""

from __future__ import annotations

import os
import re
import warnings
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
_ZIP_MAGIC = b"PK\x03\x04"  # torch.save since 1.6; older files are a bare pickle, which cannot stay on disk

# What torch says where loading would need more than tensors: the object it refused to create.
_FOREIGN = re.compile(r"GLOBAL (\S+)|(TorchScript) archive")
_NO_MEMORY = re.compile(r"[Cc]an(?:no|')t allocate memory")  # torch says so in a RuntimeError
_BARE = "save the bare state dict: torch.save(model.state_dict(), path)"
_AGAIN = "download or copy it again"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .pth, .pt or .safetensors file: container unwrapped, `module.` (of DistributedDataParallel) stripped.

    Tensors keep their stored type and stay on disk until touched where the format allows it.
    Raises CheckpointError for a file that is missing, damaged, pickled code, or no state dict.
    """
    if path.suffix not in _SUFFIXES:
        raise _refused(path, f"a {path.suffix or 'suffix-less'} file", "give the weight file itself")
    if not os.path.isfile(path):  # unlike Path.is_file, no exception for names the file system cannot have
        came = "is a folder" if os.path.isdir(path) else "does not exist"
        raise _refused(path, came, "check the path; `briges fetch` downloads the public files")
    if path.stat().st_size == 0:
        raise _refused(path, "is empty", _AGAIN)
    raw = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    return _state_dict(path, raw)


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    except MemoryError as error:
        raise _too_large(path) from error
    except SafetensorError as error:
        raise _refused(path, f"is damaged, or no safetensors file: {error}", _AGAIN) from error


def _read_torch(path: Path) -> object:
    try:
        with path.open("rb") as stream:
            zipped = stream.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on odd pickles; what matters comes as an exception
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except OSError as error:
        raise _unreadable(path, error) from error
    except MemoryError as error:
        raise _too_large(path) from error
    except Exception as error:  # damage ends in IndexError, struct.error, AssertionError...: there is no base class
        if foreign := _FOREIGN.search(str(error)):
            came = f"holds pickled code or objects, which are never run: {foreign[1] or foreign[2]}"
            raise _refused(path, came, _BARE) from error
        if _NO_MEMORY.search(str(error)):
            raise _too_large(path) from error
        raise _refused(path, f"is damaged, or no file of torch.save: {_first_line(error)}", _AGAIN) from error


def _state_dict(path: Path, raw: object) -> dict[str, Tensor]:
    for _ in _CONTAINERS:  # containers nest at most this deep
        inner = next((raw[name] for name in _CONTAINERS if name in raw), None) if isinstance(raw, Mapping) else None
        if not isinstance(inner, Mapping):
            break
        raw = inner
    if not isinstance(raw, Mapping) or not raw or not all(isinstance(value, Tensor) for value in raw.values()):
        raise _refused(path, f"holds {_describe(raw)}", _BARE)
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
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    return _refused(path, f"cannot be read: {error.strerror or error}", "check its permissions and its disk")


def _too_large(path: Path) -> CheckpointError:
    cure = "end other programs or use a machine with more memory; weights without the optimizer's state need less"
    return _refused(path, "does not fit into memory", cure)


def _refused(path: Path, came: str, cure: str) -> CheckpointError:
    return CheckpointError(
        subject=f"weight file {path}", came=came, expected=f"a state dict in a {', '.join(_SUFFIXES)} file", cure=cure
    )
