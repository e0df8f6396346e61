"""Scores that outlive the run that made them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.result_rows import make_accuracy_row, make_subject

from briges.benchmarks.accuracy.partial import PartialScores, run_key
from briges.benchmarks.accuracy.rows import ImageScore
from briges.runtime.errors import OutputError

SCORE = ImageScore("a.png", {"abs_rel": 0.1}, 0.5, 0.01, None)
OTHER = dataclasses.replace(SCORE, name="b.png")


def test_scores_are_there_again_for_the_same_run_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.partial.jsonl"
    PartialScores(path, "one").add(SCORE)
    PartialScores(path, "two").add(OTHER)
    assert PartialScores(path, "one").found == {"a.png": SCORE}
    assert PartialScores(path, "two").found == {"b.png": OTHER}


def test_what_was_skipped_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "r.partial.jsonl"
    PartialScores(path, "one").add(ImageScore("a.png", {}, None, None, "dark"))
    assert not path.exists()


@pytest.mark.parametrize("keep", [10, 60, -1])
def test_half_a_line_that_a_kill_left_costs_that_score_alone(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "r.partial.jsonl"
    PartialScores(path, "one").add(SCORE)
    line = path.read_bytes()
    path.write_bytes(line + line[:keep].replace(b"a.png", b"x.png"))
    kept = PartialScores(path, "one")
    assert kept.found.keys() - {"x.png"} == {"a.png"}
    kept.add(OTHER)
    assert PartialScores(path, "one").found.keys() >= {"a.png", "b.png"}


def test_a_run_that_is_done_takes_its_scores_away_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "r.partial.jsonl"
    PartialScores(path, "one").add(SCORE)
    PartialScores(path, "two").add(OTHER)
    PartialScores(path, "one").forget({"a.png"})
    assert not PartialScores(path, "one").found
    assert PartialScores(path, "two").found == {"b.png": OTHER}
    PartialScores(path, "two").forget({"b.png", "c.png"})
    assert not path.exists()


def test_a_run_of_fewer_images_leaves_the_scores_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "r.partial"
    PartialScores(path, "one").add(SCORE)
    PartialScores(path, "one").add(OTHER)
    PartialScores(path, "one").forget({"a.png"})
    assert PartialScores(path, "one").found == {"b.png": OTHER}


def test_without_a_path_nothing_is_kept() -> None:
    kept = PartialScores(None, "one")
    kept.add(SCORE)
    kept.forget({"a.png"})
    assert not kept.found


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        PartialScores(tmp_path / "file" / "r.partial.jsonl", "one").add(SCORE)


def test_a_key_changes_with_bundle_protocol_and_folder_and_not_with_the_command(tmp_path: Path) -> None:
    protocol = make_accuracy_row().protocol
    key = run_key(make_subject(), protocol, tmp_path)
    assert key == run_key(make_subject(), dataclasses.replace(protocol, command="another"), tmp_path / "x" / "..")
    others = {
        run_key(make_subject(manifest_sha256="cd" * 32), protocol, tmp_path),
        run_key(make_subject(temperature=2.0), protocol, tmp_path),
        run_key(make_subject(), dataclasses.replace(protocol, flip=True), tmp_path),
        run_key(make_subject(), dataclasses.replace(protocol, reference="bundle b"), tmp_path),
        run_key(make_subject(), protocol, tmp_path / "other"),
    }
    assert len(others | {key}) == 6
