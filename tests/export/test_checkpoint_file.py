"""One weight file to named tensors: every container and format there is, and every way a file can be none."""

from __future__ import annotations

import io
import pickle
import random
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from briges.export.checkpoint_file import read_tensors
from briges.runtime.errors import CheckpointError

STATE = {
    "encoder.weight": torch.arange(12.0).reshape(3, 4),
    "encoder.bias": torch.tensor([1.5, -2.0]),
    "tau": torch.tensor(0.5),
}
OPTIMIZER = {"state": {0: {"step": 7, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}


class _Payload:
    """Unpickling this creates a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self.target), "w")


def saved(raw: object, *, zipped: bool = True) -> bytes:
    stream = io.BytesIO()
    torch.save(raw, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype, key
        assert torch.equal(found[key], value), key


def refusal(path: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        read_tensors(path)
    assert caught.value.subject == f"weight file {path}"
    assert caught.value.expected == "a state dict in a .pth, .pt, .safetensors file"
    return caught.value


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_a_file_of_torch_save_is_read_in_both_of_its_formats(tmp_path, suffix, zipped):
    content = saved(STATE, zipped=zipped)
    assert zipfile.is_zipfile(io.BytesIO(content)) is zipped
    assert_same(read_tensors(written(tmp_path / f"weights{suffix}", content)), STATE)


def test_a_safetensors_file_is_read(tmp_path):
    save_file(STATE, path := tmp_path / "weights.safetensors")
    assert_same(read_tensors(path), STATE)


@pytest.mark.parametrize(
    "raw",
    [
        {"model_state_dict": STATE, "optimizer_state_dict": OPTIMIZER, "scheduler_state_dict": {"last_epoch": 3}},
        {"optimizer_state_dict": OPTIMIZER, "model_state_dict": STATE},
        {"state_dict": STATE, "epoch": 12},
        {"model": STATE, "args": ["--lr", "1e-4"]},
        {"model": {"state_dict": STATE, "step": 1}},
        {"model": {"state_dict": {"model_state_dict": STATE}}},
    ],
    ids=["model_state_dict", "optimizer-first", "state_dict", "model", "nested-twice", "nested-three-times"],
)
def test_the_containers_of_training_scripts_are_unwrapped(tmp_path, raw):
    assert_same(read_tensors(written(tmp_path / "weights.pth", saved(raw))), STATE)


def test_a_weight_called_like_a_container_is_a_weight(tmp_path):
    state = {"model": torch.ones(2), "state_dict": torch.zeros(1)}
    assert_same(read_tensors(written(tmp_path / "weights.pth", saved(state))), state)


@pytest.mark.parametrize("name", ["module.encoder.weight", "encoder.module.weight", "module.encoder.module.weight"])
def test_the_prefix_of_parallel_training_is_stripped_wherever_it_is(tmp_path, name):
    path = written(tmp_path / "weights.pth", saved({"state_dict": {name: torch.ones(3)}}))
    assert_same(read_tensors(path), {"encoder.weight": torch.ones(3)})


def test_keys_that_differ_only_in_that_prefix_are_refused(tmp_path):
    path = written(tmp_path / "weights.pth", saved({"module.weight": torch.ones(1), "weight": torch.zeros(1)}))
    assert refusal(path).came == "has keys that differ only in `module.`"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_tensors_keep_their_stored_type(tmp_path, suffix, dtype):
    state = {"weight": torch.arange(6).reshape(2, 3).to(dtype)}
    path = tmp_path / f"weights{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state, path)
    assert_same(read_tensors(path), state)


def test_trained_parameters_and_ordered_dictionaries_are_read_like_tensors(tmp_path):
    layer = nn.Linear(2, 3)
    path = written(tmp_path / "weights.pth", saved(dict(layer.named_parameters())))
    assert_same(read_tensors(path), layer.state_dict())
    assert_same(read_tensors(written(path, saved(layer.state_dict()))), layer.state_dict())


def test_a_file_that_does_not_exist_is_refused(tmp_path):
    error = refusal(tmp_path / "weights.pth")
    assert error.came == "does not exist"
    assert error.cure == "check the path; `briges fetch` downloads the public files"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_name_the_file_system_cannot_have_is_refused(tmp_path, suffix):
    assert refusal(tmp_path / ("n" * 5000 + suffix)).came == "does not exist"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("unable to mmap 400 bytes from file <weights.pth>: Cannot allocate memory (12)"),
    ],
    ids=["python", "torch", "mmap"],
)
def test_weights_that_do_not_fit_into_memory_are_not_called_damaged(tmp_path, monkeypatch, error):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "load", fail)
    told = refusal(written(tmp_path / "weights.pth", saved(STATE)))
    assert told.came == "does not fit into memory"
    assert told.cure.startswith("end other programs or use a machine with more memory")


def test_a_folder_is_refused(tmp_path):
    (path := tmp_path / "weights.pth").mkdir()
    assert refusal(path).came == "is a folder"


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.safetensors"])
def test_an_empty_file_is_refused(tmp_path, name):
    error = refusal(written(tmp_path / name, b""))
    assert (error.came, error.cure) == ("is empty", "download or copy it again")


@pytest.mark.parametrize(("name", "came"), [("weights.bin", "a .bin file"), ("weights", "a suffix-less file")])
def test_another_kind_of_file_is_refused_by_its_suffix(tmp_path, name, came):
    assert refusal(written(tmp_path / name, saved(STATE))).came == came


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_file_of_torch_save_cut_off_anywhere_is_refused(tmp_path, zipped):
    content = saved(STATE, zipped=zipped)
    for length in range(1, len(content), 7):
        error = refusal(written(tmp_path / "weights.pth", content[:length]))
        # The name of a class of torch's own, cut in the middle, is one that nobody knows.
        cut_name = "holds pickled code or objects, which are never run: "
        assert error.came.startswith(("is damaged, or no file of torch.save: ", cut_name)), length


def test_a_safetensors_file_cut_off_anywhere_is_refused(tmp_path):
    save_file(STATE, path := tmp_path / "weights.safetensors")
    content = path.read_bytes()
    for length in range(1, len(content), 7):
        error = refusal(written(path, content[:length]))
        assert error.came.startswith("is damaged, or no safetensors file: "), length
        assert error.cure == "download or copy it again"


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_random_bytes_are_refused_whatever_they_are(tmp_path, name):
    generator = random.Random(0)
    for length in [*range(1, 40), *range(40, 400, 3)]:
        error = refusal(written(tmp_path / name, generator.randbytes(length)))
        assert error.came.startswith("is damaged, or no "), error.came


def _foreign_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("photos/readme.txt", "not weights")
    return stream.getvalue()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html>\n<html><body>404: Not Found</body></html>\n",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0d2b7002e62d\nsize 389961218\n",
        b"learning rate: 0.0001\nepochs: 12\n",
        b'{"weight": [1, 2, 3]}',
        _foreign_zip(),
    ],
    ids=["html-page", "git-lfs-pointer", "text", "json", "foreign-zip"],
)
def test_a_file_of_another_kind_under_a_weight_files_name_is_called_that(tmp_path, suffix, content):
    kind = "safetensors file" if suffix == ".safetensors" else "file of torch.save"
    error = refusal(written(tmp_path / f"weights{suffix}", content))
    assert error.came.startswith(f"is damaged, or no {kind}: ")
    assert "code" not in error.came
    assert error.cure == "download or copy it again"


def _payload_bytes(target: Path, form: str) -> bytes:
    raw: Any = {"weight": torch.zeros(1), "extra": _Payload(target)}
    if form == "bare pickle":
        return pickle.dumps({"extra": _Payload(target)}, protocol=2)
    return saved(raw, zipped=form == "zip")


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])
def test_code_in_a_file_is_named_and_never_run(tmp_path, form):
    target = tmp_path / "created-by-unpickling"
    error = refusal(written(tmp_path / "weights.pth", _payload_bytes(target, form)))
    assert not target.exists()
    assert re.fullmatch(r"holds pickled code or objects, which are never run: \w*\.open", error.came)
    assert error.cure == "save the bare state dict: torch.save(model.state_dict(), path)"
    assert "add_safe_globals" not in str(error)


def test_the_code_of_these_tests_is_live(tmp_path):
    target = tmp_path / "created-by-unpickling"
    pickle.loads(_payload_bytes(target, "bare pickle"))["extra"].close()
    assert target.exists()


def test_a_whole_module_is_refused_with_the_line_that_saves_it_properly(tmp_path):
    error = refusal(written(tmp_path / "weights.pth", saved(nn.Linear(2, 2))))
    assert error.came == "holds pickled code or objects, which are never run: torch.nn.modules.linear.Linear"
    assert error.cure == "save the bare state dict: torch.save(model.state_dict(), path)"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of torch.jit itself
def test_a_torchscript_archive_is_refused_as_code(tmp_path):
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), str(path := tmp_path / "weights.pt"))
    assert refusal(path).came == "holds pickled code or objects, which are never run: TorchScript"


@pytest.mark.parametrize(
    ("raw", "came"),
    [
        ({}, "holds an empty dictionary"),
        ({"model_state_dict": {}}, "holds an empty dictionary"),
        (torch.zeros(3), "holds a Tensor"),
        ([torch.zeros(3)], "holds a list"),
        ({"weight": torch.zeros(3), "epoch": 12}, "holds 'epoch': int, which is no tensor"),
        ({"state_dict": {"weight": torch.zeros(3), "name": "b"}}, "holds 'name': str, which is no tensor"),
        ({"weights": STATE}, "holds 'weights': dict, which is no tensor"),
    ],
    ids=["empty", "empty-container", "tensor", "list", "number-beside", "text-inside", "unknown-container"],
)
def test_a_file_without_a_state_dict_is_told_what_it_holds_instead(tmp_path, raw, came):
    error = refusal(written(tmp_path / "weights.pth", saved(raw)))
    assert error.came == came
    assert error.cure == "save the bare state dict: torch.save(model.state_dict(), path)"


def test_a_safetensors_file_without_tensors_is_refused(tmp_path):
    save_file({}, path := tmp_path / "weights.safetensors")
    assert refusal(path).came == "holds an empty dictionary"
