"""Markdown tables: figures computed by hand, footnotes, escaping, and a file that is written or compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from support.result_rows import (
    make_accuracy_row,
    make_environment,
    make_estimate_row,
    make_latency_row,
    make_method,
    make_subject,
    make_unmeasured_row,
)

from briges.benchmarks.report.markdown import check_tables, escaped, make_tables, write_tables
from briges.runtime.errors import ResultError

CPU = Path("results/cpu.jsonl")


def line_with(text: str, part: str) -> str:
    (line,) = [line for line in text.splitlines() if part in line]
    return line


def table(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text("# Title\n\n<!-- briges:results cpu -->\n<!-- /briges:results -->\n\nThe end.\n")
    return path


def test_the_figures_are_those_computed_by_hand():
    heads, _, cells = table(make_tables([make_latency_row(), make_accuracy_row()]))[:3]
    row = dict(zip(heads, cells, strict=True))
    assert row["preset"] == "briges-v2-b"
    assert row["engine"] == "onnxruntime (ONNX Runtime 1.31.1 CPU)"
    assert (row["p50, ms"], row["p90, ms"], row["p99, ms"], row["jitter, ms"]) == ("12.0", "18.0", "20.0", "3.22")
    assert row["throughput, images/s"] == "76.9"  # 10 requests in 130 ms
    assert row["overhead, ms"] == "1.20"  # a tenth of the median
    assert row["host memory, MB, peak"] == "1200"
    assert row["check, relative L2"] == "4.8e-04 (passed)"
    assert (row["AbsRel"], row["δ1"]) == ("0.0600 (folder rooms)", "0.9600 (folder rooms)")
    assert row["notes"] == "RANDOM WEIGHTS (seed 0): the depth means nothing"
    assert "device memory, MB, peak" not in row  # there is none in any row


def test_rows_of_other_frames_can_be_told_apart() -> None:
    one = make_latency_row()
    other = make_latency_row(method=make_method(frame_size="1080x1920"))
    assert "| frames |" not in make_tables([one, one])
    both = make_tables([one, other])
    assert "| frames |" in both
    assert "| 480x640 |" in both
    assert "| 1080x1920 |" in both


def test_the_footnote_says_how_it_was_measured():
    text = make_tables([make_latency_row()])
    assert "- device: Example CPU, 2 cores, no GPU\n" in text
    assert "- clocks: CPU 2.0 GHz, not locked, governor performance\n" in text
    assert "- versions: numpy 2.0.0, onnxruntime 1.31.1, briges-trt 0.1.0\n" in text
    assert "- input: fp16, 518x518, batch 1\n" in text
    assert "- timed region: a photograph in memory to its depth in memory" in text
    assert "- percentiles: nearest rank\n" in text
    assert "- command: `briges bench latency build/engine --json results.jsonl`\n" in text


def test_a_fact_that_differs_names_its_rows():
    rows = [make_latency_row(subject=make_subject(batch=batch)) for batch in (1, 2, 4)]
    rows.append(make_latency_row(environment=make_environment(device="A GPU", jetson="A Jetson")))
    text = make_tables(rows)
    assert line_with(text, "- device:").endswith("2 cores, no GPU (rows 1a, 2, 3); A GPU, A Jetson (row 1b)")
    assert line_with(text, "- input:") == (
        "- input: fp16, 518x518, batch 1 (rows 1a, 1b); fp16, 518x518, batch 2 (row 2); fp16, 518x518, batch 4 (row 3)"
    )


def test_accuracy_has_means_and_intervals_and_two_rows_of_one_subject_keep_their_footnotes():
    protocol = dataclasses.replace(make_accuracy_row().protocol, dataset="folder halls", depth_range_m=())
    other = make_accuracy_row(protocol=protocol)
    text = make_tables([make_accuracy_row(), other])
    assert "| A1 | briges-v2-b fp16 518x518, ONNX Runtime 1.31.1 CPU (RANDOM WEIGHTS (seed 0)" in text
    assert "0.0600 (0.0500 to 0.0700)" in text
    assert "| 2 (1 skipped) |" in text
    assert line_with(text, "- dataset:") == "- dataset: folder rooms (row A1); folder halls (row A2)"


def test_estimates_are_called_estimates_and_what_was_not_measured_has_its_reason():
    text = make_tables([make_estimate_row(), make_unmeasured_row()])
    assert (
        "| E1 | ESTIMATE briges-v2-b | orin-agx-64 | fp16 | 518x518 | 1 | 25.0 | 50 to 100 (at 50% and 25%) |" in text
    )
    assert "Estimates from counted work and the device's limits: nothing of this was measured." in text
    assert "Not measured: preset briges-v2-l, precision bf16, size 518x518, engine tensorrt: no GPU is here\n" in text


def test_hostile_texts_stay_texts():
    hostile = "a|b\n<!-- /briges:results --> [x](y) `z` &lt;"
    text = make_tables([make_latency_row(subject=make_subject(preset=hostile), method=make_method(command=hostile))])
    shown = r"a\|b \<!-- /briges:results --\> \[x\](y) \`z\` \&lt;"
    assert f"| 1 | {shown} |" in text
    assert f"- command: {shown}" in text
    assert "<!--" not in text.replace(r"\<!--", "")


def test_escaping_leaves_plain_words_alone():
    assert escaped("briges-v2-b fp16 518x518, ONNX Runtime 1.31.1 (CPU)") == (
        "briges-v2-b fp16 518x518, ONNX Runtime 1.31.1 (CPU)"
    )


def test_a_check_passes_after_writing_and_nothing_else_changes(readme):
    rows = {CPU: [make_latency_row()]}
    assert write_tables(readme, rows) == ["cpu"]
    text = readme.read_text()
    assert text.startswith("# Title\n\n<!-- briges:results cpu -->\n\n|  | preset |")
    assert text.endswith("results.jsonl`\n\n<!-- /briges:results -->\n\nThe end.\n")
    assert check_tables(readme, rows) == ["cpu"]


def test_a_check_fails_after_an_edit_and_edits_nothing(readme):
    rows = {CPU: [make_latency_row()]}
    write_tables(readme, rows)
    edited = readme.read_text().replace("| 12.0 |", "| 11.0 |")
    readme.write_text(edited)
    with pytest.raises(ResultError) as raised:
        check_tables(readme, rows)
    assert raised.value.subject == f"tables in {readme}, line 7"
    assert "| 11.0 |" in raised.value.came
    assert "| 12.0 |" in raised.value.expected
    assert raised.value.cure == "run the same command without --check"
    assert readme.read_text() == edited


def test_a_check_of_empty_markers_says_where_the_tables_are_missing(readme):
    with pytest.raises(ResultError) as raised:
        check_tables(readme, {CPU: [make_latency_row()]})
    assert raised.value.subject == f"tables in {readme}, line 4"
    assert raised.value.came == "'<!-- /briges:results -->'"


def test_files_of_one_name_in_two_folders_share_a_block(readme):
    rows = {CPU: [make_latency_row()], Path("more/cpu.jsonl"): [make_latency_row(measured_at="later")]}
    write_tables(readme, rows)
    assert [cells[0] for cells in table(readme.read_text())] == ["", "---", "1a", "1b"]


def test_a_link_to_the_file_stays_a_link(readme, tmp_path):
    link = tmp_path / "link.md"
    link.symlink_to(readme)
    write_tables(link, {CPU: [make_latency_row()]})
    assert link.is_symlink()
    assert "briges-v2-b" in readme.read_text()
