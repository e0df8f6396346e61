"""NVIDIA's assembler, as Triton's wheel brings it: it needs no GPU, and says what a kernel costs."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path


def run_ptxas(ptx: str, target: str) -> tuple[int, str]:
    """Assemble ``ptx`` for ``target``, such as "sm_87": its exit status, 0 for PTX it takes, and its verbose report."""
    import triton

    # The wheel has two: the older does not know Blackwell, and the newer no longer knows Turing.
    tool = "ptxas-blackwell" if int(target.removeprefix("sm_").rstrip("af")) >= 100 else "ptxas"
    with tempfile.TemporaryDirectory(prefix="briges-") as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx, encoding="ascii")
        command = [str(Path(triton.__file__).parent / "backends/nvidia/bin" / tool), "--verbose"]
        command += [f"--gpu-name={target}", f"--output-file={folder}/kernel.cubin", str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.strip()
