"""Nothing is timed whose output is wrong."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.manifests import edit_json
from support.stub_bundle import build_stub_bundle

from briges.benchmarks.check import check_output
from briges.benchmarks.contender import RunSpec, open_bundle
from briges.runtime.errors import BackendError, BundleError
from briges.runtime.files import sha256_of


@pytest.mark.parametrize("sizes", [[(56, 70)], [(56, 70), (70, 70)]], ids=["one size", "two sizes"])
def test_the_output_of_a_sound_bundle_agrees_at_the_photographs_own_size(
    tmp_path: Path, sizes: list[tuple[int, int]]
) -> None:
    bundle = build_stub_bundle(tmp_path, sizes=sizes, dynamic_temperature=True)
    with open_bundle(bundle, RunSpec()) as contender:
        found = check_output(contender, bundle)
    assert found.agreement is not None
    assert found.agreement.photographs == 2
    assert found.agreement.max_relative_error is not None
    assert found.agreement.max_relative_error <= 1e-5
    assert found.skipped is None


def test_a_real_model_agrees(tiny_bundle: Path) -> None:
    with open_bundle(tiny_bundle, RunSpec()) as contender:
        found = check_output(contender, tiny_bundle)
    assert found.agreement is not None
    assert found.agreement.max_relative_error is not None
    assert 0 < found.agreement.max_relative_error <= 1e-4


def test_an_engine_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    bundle = build_stub_bundle(tmp_path)
    with np.load(bundle / "reference.npz") as arrays:
        halved = {name: array * 0.5 for name, array in arrays.items()}
    np.savez(bundle / "reference.npz", **halved)
    _sign_anew(bundle)
    with (
        open_bundle(bundle, RunSpec()) as contender,
        pytest.raises(BackendError, match=r"its depth is not the model's: max_relative_error 1\.00e\+00"),
    ):
        check_output(contender, bundle)


def test_a_bundle_without_the_reference_is_refused_with_the_cure(tmp_path: Path) -> None:
    bundle = build_stub_bundle(tmp_path)
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    del files["reference.npz"]
    edit_json(bundle / "manifest.json", files=files)
    with (
        open_bundle(bundle, RunSpec()) as contender,
        pytest.raises(BundleError, match=r"it does not hold reference\.npz(.|\n)*briges build MODEL_DIR .* --force"),
    ):
        check_output(contender, bundle)


def test_a_model_that_was_never_verified_says_so(tmp_path: Path) -> None:
    bundle = build_stub_bundle(tmp_path)
    with open_bundle(bundle, RunSpec()) as contender:
        model = dataclasses.replace(contender.manifest.model, reference=None)
        contender.manifest = dataclasses.replace(contender.manifest, model=model)
        found = check_output(contender, bundle)
    assert found.agreement is None
    assert found.skipped == "the model was exported with --no-verify: it has no reference"


def test_a_damaged_reference_is_refused_by_its_hash(tmp_path: Path) -> None:
    bundle = build_stub_bundle(tmp_path)
    shutil.copy(bundle / "manifest.json", bundle / "reference.npz")
    with pytest.raises(BundleError, match=r"reference\.npz has sha256"), open_bundle(bundle, RunSpec()):
        pass


def _sign_anew(bundle: Path) -> None:
    files = json.loads((bundle / "manifest.json").read_text())["files"]
    files["reference.npz"]["sha256"] = sha256_of(bundle / "reference.npz")
    edit_json(bundle / "manifest.json", files=files)
