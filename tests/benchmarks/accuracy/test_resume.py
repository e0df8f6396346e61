"""A run that was cut off goes on, and nothing of another run is ever taken for its own."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from support.depth_sets import write_exact_folder
from support.media import briges_process

from briges.benchmarks.accuracy.partial import PartialScores
from briges.benchmarks.accuracy.rows import AccuracyRow, ImageScore
from briges.benchmarks.accuracy.session import EvalRequest, evaluate_all
from briges.benchmarks.records import read_rows

IMAGES = 6

# Images come slowly enough for a signal to arrive between them.
SLOW = """
import time
from briges.benchmarks.accuracy import samples
read = samples.read_image
samples.read_image = lambda path: (time.sleep(0.3), read(path))[1]
"""


def _evaluate(bundle: Path, root: Path, json: Path, **options: Any) -> list[AccuracyRow]:
    request = EvalRequest("briges eval", bundle, "folder", root, json=json, pictures=0, threads=1, **options)
    return list(evaluate_all(request))


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _interrupt(bundle: Path, root: Path, json: Path, number: signal.Signals) -> tuple[str, str, int]:
    arguments = ("eval", bundle, "--dataset", "folder", "--root", root, "--json", json, "--pictures", "0")
    process = briges_process(*arguments, setup=SLOW)
    partial = json.with_name(f"{json.name}.partial")
    for _ in range(600):
        if _lines(partial) >= 2 or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return out, err, process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "kill"])
def test_what_was_scored_is_kept_and_the_next_run_goes_on(
    stub: Path, tmp_path: Path, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    root, json = write_exact_folder(tmp_path / "set", IMAGES), tmp_path / "r.jsonl"
    partial = tmp_path / "r.jsonl.partial"
    out, err, code = _interrupt(stub, root, json, number)
    assert code == 1
    assert "interrupted" in out  # the table of what was scored
    assert f"of {IMAGES} images: the same command goes on from there" in err
    assert "Traceback" not in err
    done = _lines(partial)
    assert 2 <= done < IMAGES
    assert not json.exists()

    (root / "color/0.png").unlink()  # which shows that it is not scored again
    (root / "color/0.png").write_text("no picture")
    (row,) = _evaluate(stub, root, json)
    assert f"goes on after {done} images" in caplog.text
    assert [image.skipped for image in row.images] == [None] * IMAGES
    assert row.means["delta1"].mean == 1
    assert not row.interrupted
    assert read_rows([json]) == [row]
    assert not partial.exists()


def test_scores_of_another_bundle_protocol_or_limit(
    stub: Path, stub_with_temperature: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, json = write_exact_folder(tmp_path / "set", 3), tmp_path / "r.jsonl"
    partial = tmp_path / "r.jsonl.partial"
    _stop_after_one(stub, root, json)
    (row,) = _evaluate(stub_with_temperature, root, json)
    assert "goes on" not in caplog.text
    (flipped,) = _evaluate(stub, root, json, flip=True)
    assert "goes on" not in caplog.text
    assert partial.exists()  # what belongs to none of these is left alone
    (limited,) = _evaluate(stub, root, json, limit=2)
    assert "goes on after 1 images" in caplog.text
    assert len(limited.images) == 2
    assert not partial.exists()
    assert read_rows([json]) == [row, flipped, limited]


def _stop_after_one(bundle: Path, root: Path, json: Path) -> None:
    """Leave the score of one image, as a run does that is killed then."""
    real = PartialScores.add

    def add(self: PartialScores, score: ImageScore) -> None:
        real(self, score)
        raise SystemError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartialScores, "add", add)
        with pytest.raises(SystemError):
            _evaluate(bundle, root, json)
