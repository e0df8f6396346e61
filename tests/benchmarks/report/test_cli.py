"""`briges bench report` as users run it: what is written, and one clear error for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import hide_modules, run_briges
from support.media import briges
from support.result_rows import make_accuracy_row, make_latency_row

from briges.benchmarks.records import append_row

README = "# Title\n<!-- briges:results cpu -->\n<!-- /briges:results -->\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "cpu.jsonl"
    append_row(path, make_latency_row())
    append_row(path, make_accuracy_row())
    return path


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(README)
    return path


def test_a_page_of_several_files_is_written_where_it_was_asked_for(results, tmp_path, capsys):
    append_row(tmp_path / "more.jsonl", make_latency_row(measured_at="later"))
    out = tmp_path / "new" / "report.html"
    assert briges("bench", "report", results, tmp_path / "more.jsonl", "--out", out) == 0
    assert capsys.readouterr().out == f"page in {out}\n"
    assert 'id="row-1a"' in out.read_text()
    assert 'id="row-1b"' in out.read_text()


def test_the_same_file_twice_is_the_same_page(results, tmp_path):
    once, twice = tmp_path / "once.html", tmp_path / "twice.html"
    assert briges("bench", "report", results, "--out", once) == 0
    assert briges("bench", "report", results, results, "--out", twice) == 0
    assert twice.read_text() == once.read_text()


def test_tables_are_written_then_checked_and_an_edit_fails_the_check(results, readme, capsys):
    assert briges("bench", "report", results, "--markdown", readme) == 0
    assert capsys.readouterr().out == f"tables in {readme} written: cpu\n"
    assert briges("bench", "report", results, "--markdown", readme, "--check") == 0
    assert capsys.readouterr().out == f"tables in {readme} up to date: cpu\n"
    edited = readme.read_text().replace("| 12.0 |", "| 11.0 |")
    readme.write_text(edited)
    assert briges("bench", "report", results, "--markdown", readme, "--check") == 1
    assert f"Error: tables in {readme}, line 6: '| 1 | briges-v2-b" in capsys.readouterr().err
    assert readme.read_text() == edited


def test_missing_markers_are_a_wrong_request(results, readme, capsys):
    readme.write_text("# Title\n")
    assert briges("bench", "report", results, "--markdown", readme) == 2
    assert f"Error: Markdown file {readme}: no marker, none named cpu\n" in capsys.readouterr().err
    assert readme.read_text() == "# Title\n"


@pytest.mark.parametrize(
    ("options", "came"), [((), "neither --out nor --markdown"), (("--out", "x.html", "--check"), "--check without")]
)
def test_a_request_for_nothing_is_a_wrong_one(results, options, came, capsys):
    assert briges("bench", "report", results, *options) == 2
    assert f"Error: briges bench report: {came}" in capsys.readouterr().err
    assert not Path("x.html").exists()


def test_no_file_at_all_is_a_wrong_request(capsys):
    assert briges("bench", "report", "--out", "x.html") == 2
    assert "Missing argument 'RESULTS...'" in capsys.readouterr().err


def test_an_empty_file_has_no_result(tmp_path, capsys):
    (tmp_path / "empty.jsonl").touch()
    assert briges("bench", "report", tmp_path / "empty.jsonl", "--out", tmp_path / "report.html") == 1
    assert f"Error: results {tmp_path / 'empty.jsonl'}: it holds no result\n" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_rows_of_another_schema_version_are_refused(results, tmp_path, capsys):
    row = json.loads(results.read_text().splitlines()[0]) | {"schema_version": 99}
    results.write_text(json.dumps(row) + "\n")
    assert briges("bench", "report", results, "--out", tmp_path / "report.html") == 1
    assert f"Error: results {results}, line 1: schema version 99\n" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_one_clear_error(results, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert briges("bench", "report", results, "--out", tmp_path / "file" / "report.html") == 1
    assert f"Error: output {tmp_path / 'file' / 'report.html'}: cannot be written" in capsys.readouterr().err


def test_without_jinja2_the_command_names_the_extra(results, tmp_path):
    done = run_briges("bench", "report", results, path=[hide_modules(tmp_path / "hidden", ["jinja2"])])
    assert done.returncode == 1
    assert "not installed: jinja2" in done.stderr
    assert "pip install 'briges-trt[bench]'" in done.stderr


@pytest.mark.parametrize("name", ["cpu.jsonl", "all.txt", "report"])
def test_only_a_page_is_written_so_that_a_slip_never_costs_results(results, name, capsys):
    before = results.read_bytes()
    assert briges("bench", "report", results, "--out", results.with_name(name)) == 2
    assert "results given by a slip would be overwritten" in capsys.readouterr().err
    assert results.read_bytes() == before
