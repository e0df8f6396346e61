"""install.sh of an offline bundle, run by the system's sh, on a wheel that stands in for ours."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from support.offline_wheels import wheel

from briges.engines.offline import seal
from briges.engines.offline_folder import OFFLINE_SCHEMA, OfflineBundle

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
HERE = OfflineBundle(OFFLINE_SCHEMA, "linux-x86_64", "0.1.0", PYTHON, platform.machine(), 13, False, (), {})
DOCTOR = "import sys\n\n\ndef main():\n    print('doctor ran:', sys.argv[1:], sys.prefix)\n    sys.exit({code})\n"


def bundle(folder: Path, made_for: OfflineBundle = HERE, *, doctor_code: int = 0) -> Path:
    """An offline bundle whose `briges` prints what it was asked, and ends with ``doctor_code``."""
    code = {"stand_in.py": DOCTOR.format(code=doctor_code)}
    wheel(folder / "wheels", "briges_trt", modules=code, command="briges = stand_in:main")
    seal(folder, made_for)
    return folder


def install(folder: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it as a user would in another folder, with configuration of pip that would need a network."""
    environment = os.environ | {"PYTHON": sys.executable, "PIP_INDEX_URL": "http://127.0.0.1:9/simple"} | variables
    command = ["sh", str(folder / "install.sh"), *map(str, arguments)]
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)


def refusal(folder: Path, *arguments: object, **variables: str) -> str:
    """What it says when it fails; it must not have begun to install."""
    done = install(folder, *arguments, **variables)
    assert done.returncode == 1, done.stdout
    assert "installing" not in done.stdout
    return done.stderr


def test_it_installs_by_hash_without_an_index_and_asks_the_doctor(tmp_path: Path) -> None:
    environment = tmp_path / "a folder" / "env"
    done = install(bundle(tmp_path / "offline"), environment)
    assert done.returncode == 0, done.stderr
    assert f"doctor ran: ['doctor'] {environment}" in done.stdout
    assert f"Installed. Next: . '{environment}/bin/activate'" in done.stdout
    assert "include-system-site-packages = true" in (environment / "pyvenv.cfg").read_text()
    again = install(tmp_path / "offline", environment)
    assert again.returncode == 0, again.stderr


def test_a_machine_that_can_run_nothing_yet_is_told_and_keeps_the_installation(tmp_path: Path) -> None:
    done = install(bundle(tmp_path / "offline", doctor_code=1), tmp_path / "env")
    assert done.returncode == 0, done.stderr
    assert "Installed, but this machine can run no engine yet: see the cures above." in done.stdout


@pytest.mark.parametrize("name", ["requirements.txt", "offline.json", "wheels/briges_trt-1.0-py3-none-any.whl"])
def test_a_damaged_file_is_named_before_anything_is_installed(tmp_path: Path, name: str) -> None:
    with (bundle(tmp_path / "offline") / name).open("a") as file:
        file.write("x")
    said = refusal(tmp_path / "offline", tmp_path / "env")
    assert f"{name}: FAILED" in said
    assert "Error: files are damaged or missing, see above\n  cure: copy the folder here again" in said


def test_a_wheel_that_the_requirements_do_not_hash_is_not_installed(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "offline")
    (folder / "requirements.txt").write_text(f"briges-trt==1.0 --hash=sha256:{'0' * 64}\n")
    (folder / "SHA256SUMS").write_text(f"{sha256(folder / 'install.sh')}  install.sh\n")
    done = install(folder, tmp_path / "env")
    assert done.returncode == 1
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.stderr


def sha256(path: Path) -> str:
    """By the tool that install.sh checks with."""
    return subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]


def test_another_machine_is_refused(tmp_path: Path) -> None:
    made_for = dataclasses.replace(HERE, target="jetson-jp6", machine="riscv64")
    said = refusal(bundle(tmp_path / "offline", made_for), tmp_path / "env")
    assert f"this machine is {platform.machine()}; the folder was made for jetson-jp6, riscv64" in said


def test_another_python_is_refused_with_the_command_that_names_the_right_one(tmp_path: Path) -> None:
    said = refusal(bundle(tmp_path / "offline", dataclasses.replace(HERE, python="3.8")), tmp_path / "env")
    assert f"{sys.executable} is Python {PYTHON}; the wheels are for 3.8" in said
    assert "cure: name that one: PYTHON=python3.8 sh install.sh" in said


def test_a_python_that_is_not_there_is_told(tmp_path: Path) -> None:
    said = refusal(bundle(tmp_path / "offline"), tmp_path / "env", PYTHON="/nowhere/python3")
    assert "Error: /nowhere/python3 does not run" in said


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years")
    said = refusal(bundle(tmp_path / "offline"), tmp_path / "thesis")
    assert f"Error: {tmp_path}/thesis exists and is no Python environment" in said
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("arguments", [("--help",), ("one", "two")])
def test_a_wrong_call_shows_the_right_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert "cure: sh install.sh [FOLDER]" in refusal(bundle(tmp_path / "offline"), *arguments)
