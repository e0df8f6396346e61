from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from support.offline_wheels import wheel

from briges.engines.offline_targets import TARGETS
from briges.engines.offline_wheels import (
    build_wheel,
    download_wheels,
    hashed_requirements,
    missing_requirements,
    target_constraints,
)
from briges.runtime.errors import BuildError, DownloadError
from briges.runtime.files import sha256_of

ROOT = Path(__file__).resolve().parents[2]
JP6, X86 = TARGETS["jetson-jp6"], TARGETS["linux-x86_64"]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the package index pip has."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def fetch(root: str, project: Path, out: Path, constraints: str = "") -> list[str]:
    """Download for JetPack 6; the names of the wheels that came."""
    pins = project.parent / "constraints.txt"
    pins.write_text(constraints)
    download_wheels(Requirement(root), project, JP6, pins, out, lambda line: None)
    return sorted(path.name for path in out.glob("*.whl"))


def test_what_a_target_needs_is_judged_by_its_python_and_not_by_ours(index: Path, tmp_path: Path) -> None:
    wheel(index, "backport")
    wheel(index, "arm")
    project = wheel(
        tmp_path / "own",
        "project",
        [
            "backport; python_version < '3.11' and extra == 'gpu'",
            "arm; platform_machine == 'aarch64' and extra == 'gpu'",
        ],
    )
    came = fetch("project[gpu]", project, tmp_path / "out")
    assert came == ["arm-1.0-py3-none-any.whl", "backport-1.0-py3-none-any.whl", "project-1.0-py3-none-any.whl"]
    assert missing_requirements(Requirement("project[gpu]"), X86, tmp_path / "own") == []


def test_extras_of_the_project_itself_are_followed(index: Path, tmp_path: Path) -> None:
    wheel(index, "decoder", ["deep>=1"])
    wheel(index, "deep", version="2.0")
    project = wheel(tmp_path / "own", "project", ["project[cpu]; extra == 'build'", "decoder; extra == 'cpu'"])
    assert "deep-2.0-py3-none-any.whl" in fetch("project[build]", project, tmp_path / "out")


def test_wheels_are_those_of_the_target(index: Path, tmp_path: Path) -> None:
    for tags in ("cp310-cp310-manylinux_2_28_aarch64", "cp311-cp311-manylinux_2_28_x86_64"):
        wheel(index, "native", tags=tags)
    project = wheel(tmp_path / "own", "project", ["native"])
    assert "native-1.0-cp310-cp310-manylinux_2_28_aarch64.whl" in fetch("project", project, tmp_path / "out")


@pytest.mark.usefixtures("index")
def test_what_no_index_has_ends_with_the_words_of_pip(tmp_path: Path) -> None:
    project = wheel(tmp_path / "own", "project", ["nowhere-to-be-found>=3"])
    with pytest.raises(DownloadError) as caught:
        fetch("project", project, tmp_path / "out")
    text = str(caught.value)
    assert "wheels for jetson-jp6: ERROR: Could not find a version that satisfies the requirement" in text
    assert "No matching distribution found for nowhere-to-be-found>=3" in text
    assert "expected: a package index with wheels of all dependencies for CPython 3.10 on aarch64" in text
    assert "cure: run it where pip can reach its index" in text


def test_pins_that_contradict_are_shown_with_what_contradicts_them(index: Path, tmp_path: Path) -> None:
    wheel(index, "lock", version="4.0")
    project = wheel(tmp_path / "own", "project", ["lock>=3"])
    with pytest.raises(DownloadError, match="lock>=3"):
        fetch("project", project, tmp_path / "out", "lock==5.0")


@pytest.mark.usefixtures("index")
def test_a_condition_that_pip_misjudges_and_no_index_serves_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    project = wheel(tmp_path / "own", "project", ["backport; python_version < '3.11'"])
    with pytest.raises(DownloadError, match="No matching distribution found for backport"):
        fetch("project", project, tmp_path / "out")


def test_constraints_are_those_of_the_target() -> None:
    lines = target_constraints((ROOT / "constraints.txt").read_text(), JP6).splitlines()
    assert "numpy==2.2.6" in lines
    assert [line for line in lines if line.startswith("cuda-bindings")] in (
        ["cuda-bindings<13,>=12.6"],
        ["cuda-bindings>=12.6,<13"],
    )
    newer = target_constraints((ROOT / "constraints.txt").read_text(), X86).splitlines()
    assert "numpy==2.2.6" not in newer
    assert any(line.startswith("numpy==") for line in newer)


def test_requirements_name_each_wheel_with_its_hash(tmp_path: Path) -> None:
    made = [wheel(tmp_path, "b_two", version="2.0"), wheel(tmp_path, "a")]
    assert hashed_requirements(made) == (
        f"a==1.0 --hash=sha256:{sha256_of(made[1])}\nb-two==2.0 --hash=sha256:{sha256_of(made[0])}\n"
    )


def test_a_checkout_whose_wheel_cannot_be_made_is_told(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "constraints.txt").touch()
    (checkout / "pyproject.toml").write_text("[build-system]\nrequires = []\nbuild-backend = 'no_such_backend'\n")
    with pytest.raises(BuildError) as caught:
        build_wheel(checkout, tmp_path / "out", lambda line: None)
    assert "no_such_backend" in str(caught.value)
    assert "cure: run it where pip can reach its index, for setuptools" in str(caught.value)
