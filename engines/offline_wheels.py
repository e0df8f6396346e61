"""Wheels for another machine: ours, built, and what it needs there, downloaded and checked to be complete.

pip judges conditions such as ``python_version < "3.11"`` by the Python it runs in, not by the one it downloads for. So
what its wheels ask for is followed here again, with the target's answers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from briges.engines.offline_targets import Target
from briges.runtime.errors import BuildError, DownloadError, OutputError
from briges.runtime.files import sha256_of

_NO_SPACE = "No space left on device"
# pip explains a conflict in four.
_REASON_LINES = 4


def build_wheel(checkout: Path, out: Path, said: Callable[[str], None]) -> Path:
    """Build the wheel of ``checkout`` in ``out``, a folder for temporary files too; said: takes each line that comes
    meanwhile. Raises BuildError.

    From an sdist, not from the checkout itself: there, modules that are gone live on in build/ and would come along.
    """
    command = [sys.executable, "-m", "build", "--outdir", str(out), str(checkout)]
    out.mkdir(exist_ok=True)
    code, lines = _follow(command, out, said, PIP_CONSTRAINT=str(checkout / "constraints.txt"))
    wheels = sorted(out.glob("*.whl"))
    if code or len(wheels) != 1:
        raise BuildError(
            subject="the project's wheel",
            came=_reason(lines, code),
            expected="`python -m build` to make it",
            cure="run it where pip can reach its index, for setuptools; `make wheel` shows all it says",
        )
    return wheels[0]


def target_constraints(constraints: str, target: Target) -> str:
    """The lines of our constraints.txt that hold on ``target``, and those that it has in their place."""
    instead = [Requirement(text) for text in target.pins]
    pins = [Requirement(text) for line in constraints.splitlines() if (text := line.partition("#")[0].strip())]
    held = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(target.markers)]
    kept = [pin for pin in held if pin.name not in {other.name for other in instead}]
    return "".join(f"{pin.name}{pin.specifier}\n" for pin in (*kept, *instead))


def download_wheels(
    root: Requirement, wheel: Path, target: Target, constraints: Path, folder: Path, said: Callable[[str], None]
) -> None:
    """Fill ``folder`` with ``wheel`` and all that ``root``, a requirement of it with extras, needs on ``target``.

    constraints: a file of pins; temporary files lie beside it. said: takes each line that comes meanwhile.
    Raises DownloadError with pip's last word, OutputError if the disk is full.
    """
    extras = f"[{','.join(sorted(root.extras))}]" if root.extras else ""
    wanted: Sequence[str] = [f"{wheel}{extras}"]
    tried: set[str] = set()
    while wanted:
        _pip_download(wanted, target, constraints, folder, said)
        tried |= set(wanted)
        wanted = missing_requirements(root, target, folder)
        if again := tried & set(wanted):
            raise _not_downloaded(target, f"pip brought no release that fits {', '.join(sorted(again))}")


def missing_requirements(root: Requirement, target: Target, folder: Path) -> list[str]:
    """What ``root`` needs on ``target``, directly or not, and no wheel in ``folder`` gives."""
    wheels = {canonicalize_name(parse_wheel_filename(path.name)[0]): path for path in folder.glob("*.whl")}
    queue, seen, missing = deque([root]), set(), set()
    while queue:
        wanted = queue.popleft()
        name = canonicalize_name(wanted.name)
        wheel = wheels.get(name)
        if wheel is None or not wanted.specifier.contains(parse_wheel_filename(wheel.name)[1], prereleases=True):
            missing.add(f"{wanted.name}{wanted.specifier}")
            continue
        for extra in ("", *sorted(wanted.extras)):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for needed in _requirements_of(wheel):
                if needed.marker is None or needed.marker.evaluate(target.markers | {"extra": extra}):
                    queue.append(needed)
    return sorted(missing)


def hashed_requirements(wheels: Iterable[Path]) -> str:
    """The file for `pip install --require-hashes` that names exactly these wheels."""
    lines = []
    for wheel in sorted(wheels):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        lines.append(f"{name}=={version} --hash=sha256:{sha256_of(wheel)}\n")
    return "".join(lines)


def _requirements_of(wheel: Path) -> list[Requirement]:
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        fields = HeaderParser().parsestr(archive.read(metadata).decode("utf-8"))
    return [Requirement(text) for text in fields.get_all("Requires-Dist", [])]


def _pip_download(
    wanted: Sequence[str], target: Target, constraints: Path, folder: Path, said: Callable[[str], None]
) -> None:
    command = [sys.executable, "-m", "pip", "download", "--only-binary=:all:", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--implementation", "cp", "--python-version", target.python]
    for name in target.platforms:
        command += ["--platform", name]
    command += ["--constraint", str(constraints), "--dest", str(folder), *wanted]
    code, lines = _follow(command, constraints.parent, said)
    if not code:
        return
    if any(_NO_SPACE in line for line in lines):
        raise OutputError(
            subject="wheels",
            came=f"pip says: {_NO_SPACE}",
            expected="a few hundred megabytes for the wheels, and as much in TMPDIR",
            cure="free some space, or choose another disk with --out and TMPDIR",
        )
    raise _not_downloaded(target, _reason(lines, code))


def _not_downloaded(target: Target, came: str) -> DownloadError:
    return DownloadError(
        subject=f"wheels for {target.name}",
        came=came,
        expected=f"a package index with wheels of all dependencies for CPython {target.python} on {target.machine}",
        cure="run it where pip can reach its index, or name one that has them in PIP_INDEX_URL or PIP_FIND_LINKS",
    )


def _follow(
    command: list[str], temporary: Path, said: Callable[[str], None], **variables: str
) -> tuple[int, list[str]]:
    """Run ``command``, its temporary files in ``temporary``; its exit code and every line it said that is not blank."""
    lines = []
    environment = os.environ | variables | {"TMPDIR": str(temporary)}
    # A session of its own, so that the processes it starts end with it and write no more.
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as child:
        try:
            for line in child.stdout or ():
                if text := line.strip():
                    lines.append(text)
                    said(text)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    return child.returncode, lines


def _reason(lines: list[str], code: int) -> str:
    """What it said from the first error on, or its last line."""
    lines = [line.lstrip("<> ") for line in lines]  # the marks of `python -m build` on what pip says
    first = next((at for at, line in enumerate(lines) if line.startswith("ERROR")), len(lines) - 1)
    said = lines[max(first, 0) :][:_REASON_LINES] or [f"it says nothing and ends with exit code {code}"]
    return "\n    ".join(said)
