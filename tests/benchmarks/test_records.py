"""Rows on disk."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from support.result_rows import make_accuracy_row, make_estimate_row, make_latency_row, make_unmeasured_row

from briges.benchmarks.kernel_rows import KernelRow
from briges.benchmarks.records import append_row, read_rows, require_results
from briges.runtime.errors import OutputError, ResultError

KERNEL = KernelRow(1, "kernel", "2026-01-02", "time", "gate", {"median_ms": 0.1}, (0.1, 0.2), None, {"device": "none"})


def test_rows_of_every_kind_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [make_latency_row(), make_accuracy_row(), make_estimate_row(), make_unmeasured_row(), KERNEL]
    for row in rows:
        append_row(tmp_path / "new" / "results.jsonl", row)
    assert read_rows([tmp_path / "new" / "results.jsonl"]) == rows


def test_several_files_are_read_in_order(tmp_path: Path) -> None:
    append_row(tmp_path / "a", make_estimate_row())
    append_row(tmp_path / "b", make_unmeasured_row())
    assert [row.kind for row in read_rows([tmp_path / "b", tmp_path / "a"])] == ["unmeasured", "estimate"]


def test_half_a_line_of_a_killed_run_is_left_out_and_then_cut_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "results.jsonl"
    append_row(file, make_estimate_row())
    with file.open("a") as stream:
        stream.write('{"kind": "latency", "samples_ms": [1.0, 2.')
    with caplog.at_level(logging.WARNING):
        assert [row.kind for row in read_rows([file])] == ["estimate"]
    assert "its last line is cut off" in caplog.text
    append_row(file, make_unmeasured_row())
    assert [row.kind for row in read_rows([file])] == ["estimate", "unmeasured"]


@pytest.mark.parametrize("content", ["", "\n\n", '{"kind"'])
def test_a_file_without_a_result_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.jsonl").write_text(content)
    with pytest.raises(ResultError, match="it holds no result"):
        read_rows([tmp_path / "results.jsonl"])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("not JSON", "line 2: not JSON"),
        ("[]", "line 2: no kind of result among latency, accuracy"),
        ('{"kind": "speed"}', "line 2: no kind of result among latency, accuracy"),
        ('{"kind": "latency", "schema_version": 1}', "line 2: document: field 'check' is missing"),
    ],
)
def test_what_is_no_row_is_refused_by_its_line(tmp_path: Path, line: str, problem: str) -> None:
    append_row(tmp_path / "results.jsonl", make_estimate_row())
    with (tmp_path / "results.jsonl").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(ResultError, match=problem):
        read_rows([tmp_path / "results.jsonl"])


def test_another_schema_version_is_refused_with_the_cure(tmp_path: Path) -> None:
    append_row(tmp_path / "results.jsonl", make_estimate_row())
    row = json.loads((tmp_path / "results.jsonl").read_text()) | {"schema_version": 99}
    (tmp_path / "results.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ResultError, match=r"line 1: schema version 99\n  expected: schema version 1\n  cure: measure"):
        read_rows([tmp_path / "results.jsonl"])


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="No such file"):
        read_rows([tmp_path / "absent"])
    with pytest.raises(ResultError, match="Is a directory"):
        read_rows([tmp_path])


@pytest.mark.parametrize(
    "content", [b"a line\nhalf a line", b"{}", b"\xff\xd8\xff", b'{"schema_version": 99, "kind": "latency"}\n']
)
def test_somebody_elses_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(OutputError, match="exists and does not hold results of this schema"):
        append_row(tmp_path / "file", make_estimate_row())
    assert (tmp_path / "file").read_bytes() == content


def test_a_file_that_was_killed_in_its_first_line_can_be_added_to(tmp_path: Path) -> None:
    for begun in (b"", b'{"schem', b'{"schema_version": 1, "ki'):
        (tmp_path / "file").write_bytes(begun)
        append_row(tmp_path / "file", make_estimate_row())
        assert len(read_rows([tmp_path / "file"])) == 1


def test_asking_whether_a_file_can_be_written_leaves_none_behind(tmp_path: Path) -> None:
    require_results(tmp_path / "results.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="part of that path is a file"):
        append_row(tmp_path / "file" / "results.jsonl", make_estimate_row())
