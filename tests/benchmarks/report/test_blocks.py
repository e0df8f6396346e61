"""The parts of a Markdown file that are generated: what is around them stays, and markers must pair."""

from __future__ import annotations

from pathlib import Path

import pytest

from briges.benchmarks.report.blocks import read_document, replace_blocks
from briges.runtime.errors import UsageError

PATH = Path("README.md")


def test_only_what_is_between_the_markers_changes():
    text = "# Title\n<!-- briges:results cpu -->\nold\nolder\n<!-- /briges:results -->\nend, without a line end"
    after, named = replace_blocks(text, {"cpu": "new\n"}, PATH)
    assert after == "# Title\n<!-- briges:results cpu -->\nnew\n<!-- /briges:results -->\nend, without a line end"
    assert named == ["cpu"]


def test_blocks_of_other_files_are_left_alone():
    other = "<!-- briges:results gpu -->\nkept\n<!-- /briges:results -->\n"
    text = f"{other}<!-- briges:results cpu -->\n<!-- /briges:results -->\n"
    after, named = replace_blocks(text, {"cpu": "new\n"}, PATH)
    assert after == f"{other}<!-- briges:results cpu -->\nnew\n<!-- /briges:results -->\n"
    assert named == ["cpu"]


def test_line_ends_of_windows_stay():
    text = "a\r\n<!-- briges:results cpu -->\r\nold\r\n<!-- /briges:results -->\r\n"
    after, _ = replace_blocks(text, {"cpu": "new\nnewer\n"}, PATH)
    assert after == "a\r\n<!-- briges:results cpu -->\r\nnew\r\nnewer\r\n<!-- /briges:results -->\r\n"


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("nothing\n", "no marker, none named cpu"),
        ("<!-- briges:results gpu -->\n<!-- /briges:results -->\n", "only markers named gpu, none named cpu"),
        ("\n<!-- briges:results cpu -->\nold\n", "the marker of line 2 has no end"),
        ("<!-- briges:results cpu -->\n<!-- briges:results gpu -->\n", "the marker of line 1 has no end before line 2"),
        ("old\n<!-- /briges:results -->\n", "line 2 ends what no marker began"),
    ],
)
def test_markers_that_do_not_pair_or_are_not_there_are_a_clear_error(text, came):
    with pytest.raises(UsageError) as raised:
        replace_blocks(text, {"cpu": "new\n"}, PATH)
    assert raised.value.subject == "Markdown file README.md"
    assert raised.value.came == came
    assert "<!-- briges:results NAME -->" in raised.value.expected


def test_a_file_that_is_not_there_or_not_text_is_a_clear_error(tmp_path):
    with pytest.raises(UsageError, match="No such file or directory"):
        read_document(tmp_path / "absent.md")
    (tmp_path / "binary.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_document(tmp_path / "binary.md")
