"""Errors of depth in metres against ground truth, for one image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Of these more is better; of all others less.
HIGHER_IS_BETTER = frozenset({"delta1", "delta2", "delta3", "pair_accuracy", "correlation"})

# Those that change with the unit of depth: they mean nothing where ground truth has none.
WITH_UNIT = frozenset({"sq_rel", "rmse_m", "irmse_per_km"})


def depth_metrics(depth_m: NDArray[np.float64], truth_m: NDArray[np.float64]) -> dict[str, float]:
    """Every metric by name, p and g being ``depth_m`` and ``truth_m``: float64 [n], n >= 1, all above 0, finite.

    - ``abs_rel``: mean(|p - g| / g). ``sq_rel``: mean((p - g)^2 / g), metres.
    - ``rmse_m``: sqrt(mean((p - g)^2)), metres. ``rmse_log``: sqrt(mean((ln p - ln g)^2)).
    - ``delta1``, ``delta2``, ``delta3``: share of pixels with max(p / g, g / p) < 1.25, 1.25^2, 1.25^3.
      These six: Eigen, Puhrsch, Fergus 2014, "Depth map prediction from a single image", section 4.2.
    - ``log10``: mean(|log10 p - log10 g|). As in Marigold's evaluation (Ke et al. 2024, arXiv 2312.02145, its code).
    - ``irmse_per_km``: sqrt(mean((1/p - 1/g)^2)), in 1/km as the KITTI depth benchmark has it: 1000 times that in 1/m,
      which Marigold's code gives.
    - ``silog``: 100 sqrt(mean(d^2) - mean(d)^2), d = ln p - ln g; KITTI depth benchmark, after Eigen et al. 2014.
    """
    error, log_error = depth_m - truth_m, np.log(depth_m) - np.log(truth_m)
    ratio = np.maximum(depth_m / truth_m, truth_m / depth_m)
    metrics = {
        "abs_rel": np.mean(np.abs(error) / truth_m),
        "sq_rel": np.mean(error**2 / truth_m),
        "rmse_m": np.sqrt(np.mean(error**2)),
        "rmse_log": np.sqrt(np.mean(log_error**2)),
        "log10": np.mean(np.abs(log_error)) / np.log(10),
        "irmse_per_km": 1000 * np.sqrt(np.mean((1 / depth_m - 1 / truth_m) ** 2)),
        # A standard deviation, computed as one: the difference of two means may fall below 0 by rounding.
        "silog": 100 * np.std(log_error),
        "delta1": np.mean(ratio < 1.25),
        "delta2": np.mean(ratio < 1.25**2),
        "delta3": np.mean(ratio < 1.25**3),
    }
    return {name: float(value) for name, value in metrics.items()}
