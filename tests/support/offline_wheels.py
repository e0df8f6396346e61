"""Real, tiny wheels for the tests of offline bundles."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def wheel(
    folder: Path,
    name: str,
    needs: Sequence[str] = (),
    *,
    version: str = "1.0",
    tags: str = "py3-none-any",
    modules: Mapping[str, str] | None = None,
    command: str | None = None,
) -> Path:
    """Write a wheel that asks for ``needs``, holds ``modules`` (file name -> code), and installs a command, such as
    "briges = fake:main".
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tags}.whl"
    info = f"{name}-{version}.dist-info"
    extras = sorted({text.partition("extra == ")[2].strip("'") for text in needs if "extra ==" in text})
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {text}" for text in needs]
    files = dict(modules or {})
    files[f"{info}/METADATA"] = "\n".join(lines) + "\n"
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tags}\n"
    if command:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{command}\n"
    record = "".join(f"{inside},sha256={_digest(text)},{len(text.encode())}\n" for inside, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
