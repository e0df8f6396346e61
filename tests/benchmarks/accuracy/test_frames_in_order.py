"""`--semantic-interval`: frames in their order, against the same bundle that never rests."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.depth_sets import write_image

from briges.benchmarks.accuracy.partial import PartialScores
from briges.benchmarks.accuracy.rows import AccuracyRow, ImageScore
from briges.benchmarks.accuracy.session import EvalRequest, evaluate_all
from briges.benchmarks.records import read_rows
from briges.runtime.photographs import load_photographs


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A camera that moves by two pixels per frame: four frames."""
    photograph = load_photographs()[0]
    for index in range(4):
        write_image(tmp_path / "frames" / f"{index}.png", photograph[:240, 2 * index : 2 * index + 240])
    return tmp_path / "frames"


def _request(bundle: Path, frames: Path, json: Path) -> EvalRequest:
    return EvalRequest("", bundle, "folder", frames, json=json, reference=bundle, semantic_interval=2, threads=1)


def test_frames_with_semantics_of_their_own_are_the_same_and_the_others_are_not(
    split_tiny: Path, frames: Path, tmp_path: Path
) -> None:
    (row,) = evaluate_all(_request(split_tiny, frames, tmp_path / "r.jsonl"))
    differences = [image.metrics["relative_l2"] for image in row.images]
    assert differences[0] == differences[2] == 0
    assert min(differences[1], differences[3]) > 0
    assert row.subject.semantic_interval == 2
    assert row.pictures == ()


def test_an_interrupted_row_is_written_since_no_run_can_go_on(
    split_tiny: Path, frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    json, real = tmp_path / "r.jsonl", PartialScores.add

    def add(self: PartialScores, score: ImageScore) -> None:
        if score.name == "1.png":
            raise KeyboardInterrupt
        real(self, score)

    with monkeypatch.context() as patch:
        patch.setattr(PartialScores, "add", add)
        (row,) = evaluate_all(_request(split_tiny, frames, json))
    assert row.interrupted
    assert len(row.images) == 1
    assert "interrupted after 1 of 4 images: the next run starts anew" in caplog.text
    (again,) = evaluate_all(_request(split_tiny, frames, json))
    assert [image.metrics["relative_l2"] > 0 for image in again.images] == [False, True, False, True]
    rows = [found for found in read_rows([json]) if isinstance(found, AccuracyRow)]
    assert [found.interrupted for found in rows] == [True, False]
