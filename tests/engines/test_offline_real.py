"""Offline bundles made with the real package index, and one of them installed and used with none."""

from __future__ import annotations

import dataclasses
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.stub_bundle import build_stub_bundle

from briges.engines.offline import bundle_offline
from briges.engines.offline_targets import TARGETS
from briges.engines.plugin.record import read_plugin
from briges.engines.watcher import Watcher

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def package_index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skip where pip reaches no index."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--retries=0", "click"]
    done = subprocess.run(
        command, cwd=tmp_path_factory.mktemp("index"), capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        pytest.skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1]}")


def make(target: str, out: Path, include: Path) -> str:
    """Run `make bundle-offline`; what it prints."""
    command = ["make", "bundle-offline", f"TARGET={target}", f"OUT={out}", f"INCLUDE={include}"]
    command.append(f"VENV={Path(sys.executable).parent.parent}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["jetson-jp6", "jetson-jp7"])
def test_a_jetson_gets_wheels_for_its_python_and_driver_and_no_tensorrt(
    name: str, plugin_folder: Path, tmp_path: Path
) -> None:
    target = TARGETS[name]
    model = build_stub_bundle(tmp_path / "stub").parent / "model"
    text = make(name, tmp_path / "out", model)
    assert "the attention plugin's kernels; the device compiles its C++ part" in text
    names = {path.name.split("-")[0]: path.name for path in (tmp_path / "out" / "wheels").iterdir()}
    assert {"briges_trt", "numpy", "click", "rich", "opencv_python_headless", "pillow", "onnxruntime"} <= names.keys()
    assert names["briges_trt"].endswith("-py3-none-any.whl")
    assert not [wheel for wheel in names if "tensorrt" in wheel or wheel.startswith("torch")]
    assert names["cuda_bindings"].startswith(f"cuda_bindings-{target.cuda_major}.")
    for wheel in names.values():
        # CPython 3.10 takes what was made for it, or for an older one with the stable ABI, or for any.
        _, _, python, abi, platforms = wheel.removesuffix(".whl").split("-")
        assert platforms == "any" or set(platforms.split(".")) & set(target.platforms), wheel
        assert "3" in re.findall(r"py(\d)", python) or python.startswith("cp3"), wheel
        assert abi in ("none", "abi3", f"cp{target.python.replace('.', '')}"), wheel
    assert (tmp_path / "out" / "included" / "stub-model" / "model.json").is_file()
    assert read_plugin(tmp_path / "out" / "build" / "plugin") == read_plugin(plugin_folder)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the folder for a PC is for Python 3.11")
def test_on_this_machine_it_installs_without_a_network_and_computes_depth(tmp_path: Path) -> None:
    make("linux-x86_64", tmp_path / "offline", build_stub_bundle(tmp_path / "stub"))
    install_and_infer(tmp_path, sys.executable)


@pytest.mark.parametrize("name", ["jetson-jp6", "jetson-jp7"])
def test_the_releases_that_a_jetson_gets_work_together_under_its_python(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = shutil.which(f"python{TARGETS[name].python}")
    if python is None:
        pytest.skip(f"no python{TARGETS[name].python} in PATH")
    # The same releases, in wheels for this machine.
    monkeypatch.setitem(TARGETS, name, dataclasses.replace(TARGETS[name], machine=platform.machine()))
    silent = Watcher(lambda step: None, lambda phase, done, total: None)
    bundle_offline(name, tmp_path / "offline", [build_stub_bundle(tmp_path / "stub")], ROOT, silent)
    install_and_infer(tmp_path, python)


def install_and_infer(folder: Path, python: str) -> None:
    """Install ``folder / "offline"`` with ``python`` and no network, and run the stub that came with it."""
    out, environment = folder / "offline", folder / "env"
    # An index that nobody answers, and a proxy in the way of all the rest.
    variables = os.environ | {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PYTHON": python}
    variables |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    installed = subprocess.run(
        ["sh", out / "install.sh", environment], env=variables, capture_output=True, text=True, check=False
    )
    assert installed.returncode == 0, installed.stderr
    assert re.search(r"yes +onnxruntime", installed.stdout)
    assert "Installed. Next:" in installed.stdout
    photograph = ROOT / "runtime" / "photographs" / "coffee.jpg"
    command = [environment / "bin" / "briges", "infer", "included/stub-engine", photograph, "--out", folder / "depth"]
    done = subprocess.run(command, cwd=out, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((folder / "depth").iterdir())) == 3
