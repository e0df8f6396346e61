"""One estimator, one process: a fork and a pickle are told, and what came before them still works."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import run_python
from support.stub_bundle import build_stub_bundle

from briges.runtime import DepthEstimator
from briges.runtime.errors import UsageError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_stub_bundle(tmp_path_factory.mktemp("stub"))


# In a fresh interpreter: pytest's own has threads, and Python warns of forks then.
FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from briges.runtime import BrigesError, DepthEstimator
estimator = DepthEstimator(sys.argv[1])
image = np.zeros((56, 70, 3), np.uint8)
estimator(image)
ACT = {ACT}
child = os.fork()
if child == 0:
    try:
        {ACT}
        print("no error")
    except BrigesError as error:
        print(type(error).__name__, error)
    sys.stdout.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
estimator(image)
estimator.close()
print("the parent goes on")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("act", ["estimator(image)", "estimator.batch([image])", "estimator.clone()"])
def test_after_a_fork_the_child_is_told_and_the_parent_goes_on(bundle, act):
    done = run_python(FORKED.replace("ACT = {ACT}\n", "").replace("{ACT}", act), str(bundle))
    assert done.returncode == 0, done.stderr
    assert "BackendError estimator: made in process" in done.stdout
    assert "a fork of it\n  expected: one DepthEstimator per process" in done.stdout
    assert "cure: make the estimator after the fork" in done.stdout
    assert done.stdout.rstrip().endswith("the parent goes on")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_closing_it_in_a_fork_takes_nothing_from_the_parent(bundle):
    done = run_python(FORKED.replace("ACT = {ACT}\n", "").replace("{ACT}", "estimator.close()"), str(bundle))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["no error", "the parent goes on"]


def test_it_cannot_be_pickled_and_says_what_to_do(bundle):
    with DepthEstimator(bundle) as estimator, pytest.raises(UsageError, match="pass the bundle's path"):
        pickle.dumps(estimator)


SPAWNING = """
import multiprocessing, sys
import numpy as np
from briges.runtime import DepthEstimator

def total_of(bundle):
    with DepthEstimator(bundle) as estimator:
        return float(estimator(np.full((56, 70, 3), 100, np.uint8)).depth.sum())

if __name__ == "__main__":
    with DepthEstimator(sys.argv[1]), multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply_async(total_of, sys.argv[1:]).get(timeout=60))
"""


def test_a_spawned_process_makes_its_own(bundle, tmp_path):
    script = tmp_path / "spawning.py"
    script.write_text(SPAWNING)
    done = subprocess.run(
        [sys.executable, script, bundle], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(56 * 70 * 100, rel=1e-5)
