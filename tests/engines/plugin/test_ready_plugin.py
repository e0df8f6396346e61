"""`briges plugin`: what is right stays, kernels are kept where only the library is old, nothing is half made."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from support.building import SILENT
from support.in_process import run_briges

from briges.engines.plugin import build_library, record
from briges.engines.plugin.build_library import ready_plugin
from briges.engines.plugin.record import LIBRARY_FILE, read_plugin
from briges.engines.watcher import Watcher
from briges.runtime import toolchain
from briges.runtime.errors import BuildError, BundleError, MissingExtraError, OutputError

ORIN = ("8.7",)


@pytest.fixture
def folder(plugin_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plugin_folder, tmp_path / "plugin"))


@pytest.fixture
def no_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def installed(name: str) -> str:
        if name == "triton":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", installed)


def steps_of(folder: Path, **options) -> list[str]:
    steps: list[str] = []
    ready_plugin(folder, Watcher(steps.append, lambda *progress: None), **options)
    return steps


def change(folder: Path, **fields: object) -> None:
    path = folder / record.RECORD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_what_is_there_is_not_built_again(folder):
    before = (folder / LIBRARY_FILE).stat().st_mtime_ns
    assert steps_of(folder) == []
    assert steps_of(folder, capabilities=ORIN) == [], "all kernels serve for some"
    assert (folder / LIBRARY_FILE).stat().st_mtime_ns == before


@pytest.mark.usefixtures("no_triton")
@pytest.mark.parametrize("old", [{"platform": "Linux aarch64"}, {"sources": "0" * 64}])
def test_an_old_or_foreign_library_is_compiled_again_from_the_kernels_that_are_there(folder, old):
    kernels = (folder / record.KERNELS_FILE).read_bytes()
    (made := folder / LIBRARY_FILE).write_bytes(b"of another processor")
    change(folder, files=read_files(folder) | {LIBRARY_FILE: build_library.sha256_of(made)}, **old)
    assert steps_of(folder) == ["compiling the plugin library"]
    assert (folder / record.KERNELS_FILE).read_bytes() == kernels
    exported = subprocess.run(["nm", "-D", "--defined-only", made], capture_output=True, text=True, check=True).stdout
    assert "getCreators" in exported


def read_files(folder: Path) -> dict[str, str]:
    return json.loads((folder / record.RECORD_FILE).read_text())["files"]


@pytest.mark.usefixtures("no_triton")
@pytest.mark.parametrize("gone", [True, False])
def test_a_damaged_library_is_linked_again_from_the_kernels_that_are_there(folder, gone):
    (folder / LIBRARY_FILE).write_bytes(b"damaged")
    if gone:
        (folder / LIBRARY_FILE).unlink()
    assert steps_of(folder) == ["compiling the plugin library"]
    assert read_plugin(folder).files[LIBRARY_FILE] == build_library.sha256_of(folder / LIBRARY_FILE)


@pytest.mark.usefixtures("no_triton")
def test_without_triton_and_kernels_there_is_one_clear_error(tmp_path):
    with pytest.raises(MissingExtraError, match=r"briges-trt\[plugin\]") as caught:
        ready_plugin(tmp_path / "plugin", SILENT)
    assert "copy build/plugin" in caught.value.cure
    assert not (tmp_path / "plugin").exists()


@pytest.mark.parametrize("version", ["3.4.0", "3.90.1"])
def test_another_triton_compiles_nothing_and_spoils_nothing(folder, tmp_path, monkeypatch, version):
    monkeypatch.setattr(metadata, "version", lambda name: version)
    assert steps_of(folder) == []
    with pytest.raises(MissingExtraError, match=f"Triton {version} is installed"):
        ready_plugin(tmp_path / "new", SILENT)
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("no_triton")
def test_kernels_for_the_gpu_at_hand_are_enough(folder):
    kernels = json.loads((folder / record.RECORD_FILE).read_text())["kernels"]
    change(folder, kernels=[row for row in kernels if row["compute_capability"] == "8.7"])
    for needed in (("8.7",), ()):
        assert steps_of(folder, needed=needed) == []
    for needed in (("8.6",), ("8.7", "9.0")):
        with pytest.raises(MissingExtraError):
            steps_of(folder, needed=needed)
    change(folder, kernels=[row for row in kernels if row["compute_capability"] == "8.0"])
    assert steps_of(folder, needed=("8.6", "12.1")) == [], "from 8.0 on its kernels serve"


@pytest.mark.parametrize("damage", ["damaged", "missing", "of other sources"])
def test_kernels_that_cannot_be_trusted_are_compiled_again(folder, damage):
    if damage == "damaged":
        (folder / record.KERNELS_FILE).write_bytes(b"")
    elif damage == "missing":
        (folder / record.TABLE_FILE).unlink()
    else:
        change(folder, kernel_sources="0" * 64)
    shown: list[tuple[str, int, int]] = []
    steps: list[str] = []
    watcher = Watcher(steps.append, lambda *progress: shown.append(progress))
    build = ready_plugin(folder, watcher, ORIN)
    assert steps == ["trying the compiler", "compiling attention kernels", "compiling the plugin library"]
    assert build.compute_capabilities == ORIN
    assert shown == [("kernel", number, 16) for number in range(1, 17)]
    assert read_plugin(folder) == build


def test_a_compiler_that_refuses_is_quoted_and_what_was_there_stays(folder, tmp_path, monkeypatch):
    compiler = tmp_path / "refusing"
    compiler.write_text("#!/bin/sh\necho 'kernels.cpp:1: error: no' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    change(folder, sources="0" * 64)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(BuildError, match=r"kernels\.cpp:1: error: no") as caught:
        ready_plugin(folder, SILENT)
    assert str(compiler) in caught.value.came
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".plugin")] == []


def test_a_folder_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="was not made by this tool"):
        ready_plugin(tmp_path, SILENT, ORIN)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(("name", "said"), [(LIBRARY_FILE, "has sha256"), (record.REPORT_FILE, "has sha256")])
def test_a_record_whose_files_changed_is_refused(folder, name, said):
    (folder / name).write_bytes(b"changed")
    with pytest.raises(BundleError, match=said):
        read_plugin(folder)


def test_a_record_without_its_library_is_refused(folder):
    change(folder, files={record.KERNELS_FILE: read_files(folder)[record.KERNELS_FILE]})
    with pytest.raises(BundleError, match=f"does not list .*{LIBRARY_FILE}"):
        read_plugin(folder)


def test_a_kernel_serves_as_the_library_chooses(folder):
    build = read_plugin(folder)
    assert build.serves("8.7", 48, "fp16", 0)
    assert build.serves("12.1", 64, "bf16", 64), "by that of 8.0"
    assert not build.serves("7.5", 64, "fp16", 64)
    assert not build.serves("7.2", 64, "fp16", 0)
    of_orin = dataclasses.replace(build, kernels=tuple(row for row in build.kernels if row.compute_capability == "8.7"))
    assert of_orin.serves("8.7", 64, "fp16", 64)
    assert not of_orin.serves("8.6", 64, "fp16", 64)


# The command


def test_the_command_says_what_there_is(folder):
    answer = run_briges("plugin", "--out", folder)
    assert answer.code == 0, answer.err
    first, second, *_ = answer.out.splitlines()
    assert first.startswith(f"{folder / LIBRARY_FILE}: 11.")
    assert "134 kernels by Triton" in first
    assert second == "  compute capabilities 7.5, 8.0, 8.6, 8.7, 8.9, 9.0, 10.0, 11.0, 12.0"


def test_a_gpu_that_no_kernel_is_made_for_is_refused(tmp_path):
    answer = run_briges("plugin", "--out", tmp_path / "plugin", "--compute-capability", "8.8")
    assert answer.code == 2
    assert "cure: did you mean '8." in answer.err
    assert not (tmp_path / "plugin").exists()


# What compiles it


def headers(folder: Path, version: str = "10.3.0") -> Path:
    folder.mkdir()
    (folder / "NvInfer.h").touch()
    parts = zip(("MAJOR", "MINOR", "PATCH"), version.split("."), strict=True)
    lines = [f"#define NV_TENSORRT_{name} {number} //!< TensorRT version.\n" for name, number in parts]
    (folder / "NvInferVersion.h").write_text("".join(lines))
    return folder


def test_headers_that_are_named_come_first(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORRT_INCLUDE", str(headers(tmp_path / "sdk")))
    found = toolchain.find_toolchain()
    assert (found.tensorrt, found.tensorrt_version) == (tmp_path / "sdk", "10.3.0")
    assert (found.cuda / "cuda.h").is_file()


def test_without_an_sdk_the_headers_of_python_packages_serve():
    found = toolchain.find_toolchain()
    assert found.tensorrt_version == "10.14.1"
    assert found.tensorrt.parent.parent.name == "kernel_lens"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 1", "it says nothing and ends with exit code 1"),
        ("exit 0", "it says nothing and ends with exit code 0"),
        ("echo no >&2; exit 1", "does not make it:\n    no"),
    ],
)
def test_a_compiler_that_makes_nothing_is_noticed_before_the_kernels_are_compiled(tmp_path, monkeypatch, script, said):
    compiler = tmp_path / "compiler"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    steps: list[str] = []
    with pytest.raises(BuildError, match=said):
        ready_plugin(tmp_path / "plugin", Watcher(steps.append, lambda *progress: None))
    assert steps == ["trying the compiler"]
    assert [path.name for path in tmp_path.iterdir()] == ["compiler"]


def test_the_compiler_may_be_several_words_but_not_half_a_quotation(monkeypatch):
    monkeypatch.setenv("CXX", "env LANG=C g++")
    assert toolchain.find_toolchain().compiler[1:] == ("LANG=C", "g++")
    monkeypatch.setenv("CXX", "g++ 'unclosed")
    with pytest.raises(MissingExtraError, match=r"CXX=g\+\+ 'unclosed cannot be read"):
        toolchain.find_toolchain()


@pytest.mark.parametrize(
    ("variable", "subject"),
    [("CXX", "a C++17 compiler"), ("TENSORRT_INCLUDE", "TensorRT's headers"), ("CUDA_INCLUDE", "CUDA's headers")],
)
def test_what_is_named_and_not_there_is_not_replaced_by_something_else(tmp_path, monkeypatch, variable, subject):
    monkeypatch.setenv(variable, str(tmp_path / "nothing"))
    with pytest.raises(MissingExtraError) as caught:
        toolchain.find_toolchain()
    assert caught.value.subject == subject
    assert str(tmp_path / "nothing") in caught.value.came
    assert variable in caught.value.cure


def test_headers_of_tensorrt_8_are_too_old(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORRT_INCLUDE", str(headers(tmp_path / "sdk", "8.6.2")))
    with pytest.raises(MissingExtraError, match=r"holds those of 8\.6\.2"):
        toolchain.find_toolchain()
