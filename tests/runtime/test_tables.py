from __future__ import annotations

import pytest

from briges.runtime.tables import Section, print_sections


def printed(capsys: pytest.CaptureFixture[str], *sections: Section) -> list[str]:
    """The lines that come out, without the spaces that fill them."""
    print_sections(sections)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_names_and_values_stand_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, Section("Title", (("a", "one"), ("longer", "two"))))

    assert lines == ["", "Title", "a       one", "longer  two"]


def test_columns_have_a_header(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, Section("Title", (("a", "b", "one"),), ("first", "second", "third")))

    assert lines == ["", "Title", "first  second  third", "a      b       one"]


def test_a_section_without_rows_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, Section("Title", ())) == []


def test_only_the_last_column_wraps(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    lines = printed(capsys, Section("Title", (("two words", "and a longer text than fits"),)))

    assert lines == ["", "Title", "two words  and a longer text", "           than fits"]


def test_square_brackets_are_text_and_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, Section("[bold]", (("[red]", "pip install 'briges-trt[cpu]'"),)))

    assert lines == ["", "[bold]", "[red]  pip install 'briges-trt[cpu]'"]
