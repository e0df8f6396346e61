from __future__ import annotations

from pathlib import Path

import pytest

from briges.runtime.jetson import Jetson, is_supported_release, jetpack_of, read_jetson

RELEASE = """\
# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 01:49:37 UTC 2025
# KERNEL_VARIANT: oot
TARGET_USERSPACE_LIB_DIR=nvidia
TARGET_USERSPACE_LIB_DIR_PATH=usr/lib/aarch64-linux-gnu/nvidia
"""
PACKAGES = """\
Package: nvidia-l4t-configs
Status: install ok installed
Version: 36.9.9-20990101000000

Package: nvidia-l4t-core
Status: install ok installed
Architecture: arm64
Version: 36.4.7-20250918154033
Description: NVIDIA Core Package

Package: zlib1g
Version: 1:1.2.11.dfsg-2ubuntu9.2
"""
MODEL = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0"


def write(root: Path, **files: str) -> Path:
    """Write files of a Jetson's file system."""
    places = {
        "release": "etc/nv_tegra_release",
        "packages": "var/lib/dpkg/status",
        "model": "proc/device-tree/model",
        "compatible": "proc/device-tree/compatible",
    }
    for name, text in files.items():
        path = root / places[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def add_nvpmodel(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have an `nvpmodel` that is a shell script."""
    folder.mkdir()
    (folder / "nvpmodel").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvpmodel").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_machine_without_tegra_files_is_no_jetson(tmp_path: Path) -> None:
    assert read_jetson(tmp_path) is None


def test_another_board_with_a_device_tree_is_no_jetson(tmp_path: Path) -> None:
    root = write(tmp_path, model="Raspberry Pi 5 Model B Rev 1.0\0", compatible="raspberrypi,5-model-b\0brcm,bcm2712\0")

    assert read_jetson(root) is None


def test_release_model_and_power_mode_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_nvpmodel(tmp_path / "bin", monkeypatch, 'test "$1" = -q && printf "NV Power Mode: MAXN_SUPER\\n2\\n"')
    root = write(tmp_path, release=RELEASE, model=MODEL)

    assert read_jetson(root) == Jetson(MODEL.rstrip("\0"), "36.4.3", "MAXN_SUPER")


def test_a_broken_nvpmodel_leaves_the_power_mode_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_nvpmodel(tmp_path / "bin", monkeypatch, "echo NVPM ERROR: Permission denied >&2; exit 1")
    jetson = read_jetson(write(tmp_path, release=RELEASE))

    assert jetson == Jetson(None, "36.4.3", None)


def test_without_the_release_file_the_package_tells(tmp_path: Path) -> None:
    jetson = read_jetson(write(tmp_path, packages=PACKAGES))

    assert jetson is not None
    assert jetson.l4t == "36.4.7"


def test_in_a_container_the_device_tree_still_tells_a_jetson(tmp_path: Path) -> None:
    root = write(tmp_path, model="NVIDIA Jetson AGX Thor Developer Kit\0", compatible="nvidia,p4071\0nvidia,tegra264\0")
    jetson = read_jetson(root)

    assert jetson is not None
    assert (jetson.model, jetson.l4t) == ("NVIDIA Jetson AGX Thor Developer Kit", None)


@pytest.mark.parametrize(
    ("l4t", "jetpack", "tensorrt"),
    [
        ("35.4.1", "JetPack 5.1 or an update of it", "8.5.2"),
        ("36.3.0", "JetPack 6.0", "8.6.2"),
        ("36.4.0", "JetPack 6.1", "10.3.0"),
        ("36.4.3", "JetPack 6.2", "10.3.0"),
        ("36.4.4", "JetPack 6.2.1", "10.3.0"),
        ("36.4.7", "JetPack 6.2.1 or an update of it", "10.3.0"),
        ("36.5", "JetPack 6.2.2", "10.3.0"),
        ("38.2.0", "JetPack 7.0", "10.13.3"),
        ("38.4.0", "JetPack 7.1", "10.13.3"),
        ("39.2.0", "JetPack 7.2", "10.16.2"),
        ("39.2.1", "JetPack 7.2.1", "10.16.2"),
    ],
)
def test_a_release_tells_jetpack_and_tensorrt(l4t: str, jetpack: str, tensorrt: str) -> None:
    found = jetpack_of(l4t)

    assert found is not None
    assert (str(found), found.tensorrt) == (jetpack, tensorrt)


@pytest.mark.parametrize("l4t", ["32.7.1", "40.1.0", "37.1"])
def test_nothing_is_expected_of_a_generation_we_do_not_know(l4t: str) -> None:
    assert jetpack_of(l4t) is None


def test_releases_before_jetpack_6_1_are_not_supported() -> None:
    assert not is_supported_release("36.3.0")
    assert not is_supported_release("9.9")
    assert is_supported_release("36.4")
    assert is_supported_release("40.1")
