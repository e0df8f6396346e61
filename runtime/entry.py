"""Where the command `briges` begins: before click, which an installation without dependencies has not."""

from __future__ import annotations

import importlib.util
import sys

NEEDED = ("click", "rich")


def main() -> None:
    """Run `briges`, or say what it needs; the library itself needs NumPy alone."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        print(
            f"Error: briges: not installed: {', '.join(missing)}\n"
            "  expected: what the command line is made of; `import briges.runtime` needs NumPy alone\n"
            f"  cure: pip install {' '.join(missing)}",
            file=sys.stderr,
        )
        sys.exit(1)
    from briges.runtime.main import main as run

    run()
