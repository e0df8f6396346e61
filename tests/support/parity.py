"""How two outputs are compared, and what an output must look like for the comparison to mean anything."""

from __future__ import annotations

from torch import Tensor

TOLERANCE = 1e-4  # of the largest reference value; float32 on a CPU, two different orders of summation
TIGHT = 1e-5  # for one encoder or gate: 10 times what they reach, while a tanh GELU still passes at 1e-4
CLEARLY_DIFFERENT = 100 * TOLERANCE  # what a variant that breaks one rule has to exceed for that rule to be held


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """Return max|ours - reference| / max|reference|."""
    assert ours.shape == reference.shape, f"shapes differ: {tuple(ours.shape)} and {tuple(reference.shape)}"
    return float((ours - reference).abs().max() / reference.abs().max())


def assert_varies(values: Tensor) -> None:
    """Fail unless ``values`` are finite and vary along every axis after the batch: zeros equal zeros in any code."""
    assert values.isfinite().all(), "the output is not finite"
    largest = float(values.abs().max())
    assert largest > 0, "the output is zero everywhere"
    for axis in range(1, values.ndim):
        if values.shape[axis] > 1:
            spread = float(values.std(dim=axis).mean()) / largest
            assert spread > 1e-3, f"the output hardly varies along axis {axis} (spread {spread:.1e} of its maximum)"


def assert_parity(ours: Tensor, reference: Tensor, tolerance: float = TOLERANCE) -> None:
    """Fail unless both vary and agree within ``tolerance``; print the error, so that `pytest -rP` shows it."""
    assert_varies(ours)
    assert_varies(reference)
    error = relative_error(ours, reference)
    print(f"relative error {error:.1e}, {tolerance / max(error, 1e-12):.0f}x below the tolerance")
    assert error <= tolerance, f"relative error {error:.2e} exceeds {tolerance:.0e}"
