"""Triton decides on import whether kernels are interpreted: the variable must be there before the first import."""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"
