"""The stub bundle, whose depth is the luminance of the picture, for every test of `briges eval`."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.stub_bundle import build_stub_bundle


@pytest.fixture(scope="session")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose depth is the luminance of the picture. Do not write into it."""
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


@pytest.fixture(scope="session")
def stub_with_temperature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, its depth divided by the temperature. Do not write into it."""
    return build_stub_bundle(tmp_path_factory.mktemp("stub-temperature"), dynamic_temperature=True)
