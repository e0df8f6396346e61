"""A stub engine of known arithmetic, and an estimator on it, for every test of the runtime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stub_bundle import build_stub_bundle

from briges.runtime import DepthEstimator


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose depth is the luminance of the picture. Do not write into it."""
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


@pytest.fixture
def estimator(stub: Path) -> Iterator[DepthEstimator]:
    """Open on ``stub``."""
    with DepthEstimator(stub, threads=1) as made:
        yield made
