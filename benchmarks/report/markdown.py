"""Results as Markdown: tables, and below them how they were measured; written into a file or compared with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from briges.benchmarks.records import Row
from briges.benchmarks.report.accuracy_table import accuracy_columns
from briges.benchmarks.report.blocks import read_document, replace_blocks
from briges.benchmarks.report.columns import Cell, Column
from briges.benchmarks.report.entries import Report, make_report
from briges.benchmarks.report.estimate_table import estimate_columns
from briges.benchmarks.report.facts import Facts, device_facts, method_facts, protocol_facts
from briges.benchmarks.report.kernel_table import kernel_columns, kernel_facts
from briges.benchmarks.report.summary import latency_columns
from briges.runtime.errors import ResultError
from briges.runtime.files import write_text

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&])")
_LINE = re.compile(r"\s+")


def write_tables(path: Path, rows: Mapping[Path, Sequence[Row]]) -> list[str]:
    """Write the tables of ``rows``, which are by the file they came from, between the markers of ``path``.

    The rest of the file stays as it is. Gives the names written. Raises UsageError for a file without these markers.
    """
    text, named = replace_blocks(read_document(path), _blocks(rows), path)
    write_text(path.resolve(), text)  # a link stays a link
    return named


def check_tables(path: Path, rows: Mapping[Path, Sequence[Row]]) -> list[str]:
    """Whether ``path`` is as ``write_tables`` would leave it; gives the names. Raises ResultError if it is not."""
    before = read_document(path)
    after, named = replace_blocks(before, _blocks(rows), path)
    if before != after:
        old, new = before.splitlines(), after.splitlines()
        at = next(
            (at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new))
        )
        raise ResultError(
            subject=f"tables in {path}, line {at + 1}",
            came=_shortened(old, at),
            expected=_shortened(new, at),
            cure="run the same command without --check",
        )
    return named


def make_tables(rows: Iterable[Row]) -> str:
    """Every row as Markdown, whole lines, with how it was measured as a footnote."""
    report = make_report(rows)
    parts = []
    if report.latency:
        parts.append(_table([entry.tag for entry in report.latency], [*latency_columns(report), *_notes(report)]))
        parts.append(_footnote(report))
    if report.accuracy:
        parts.append(_table([one.tag for one in report.accuracy], accuracy_columns(report.accuracy)))
        told = {one.tag: protocol_facts(one.row) | device_facts(one.row.environment) for one in report.accuracy}
        parts.append(_stated(told))
    if report.estimates:
        tags, estimates = zip(*report.estimates, strict=True)
        parts.append(_table(tags, estimate_columns(estimates)))
        parts.append("Estimates from counted work and the device's limits: nothing of this was measured.")
    if report.kernels:
        tags, kernels = zip(*report.kernels, strict=True)
        parts.append(_table(tags, kernel_columns(kernels)))
        parts.append("\n".join(f"- {escaped(name)}: {escaped(text)}" for name, text in kernel_facts(kernels).items()))
    for row in report.unmeasured:
        case = ", ".join(f"{name} {value}" for name, value in row.case.items())
        parts.append(f"Not measured: {escaped(case)}: {escaped(row.reason)}")
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """``text`` as Markdown shows it literally, in one line."""
    return _SPECIAL.sub(r"\\\1", _LINE.sub(" ", text).strip())


def _blocks(rows: Mapping[Path, Sequence[Row]]) -> dict[str, str]:
    named: dict[str, list[Row]] = {}
    for path, every in rows.items():
        named.setdefault(path.stem, []).extend(every)
    return {name: f"\n{make_tables(every)}\n" for name, every in named.items()}


def _table(tags: Sequence[str], columns: Sequence[Column]) -> str:
    heads = [f"{column.title}, {column.unit}" if column.unit else column.title for column in columns]
    lines = [["", *map(escaped, heads)], ["---", *("---:" if column.numeric else "---" for column in columns)]]
    lines += [[tag, *(_cell(column.cells[at]) for column in columns)] for at, tag in enumerate(tags)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cell(cell: Cell) -> str:
    return f"{escaped(cell.text)} ({escaped(cell.detail)})" if cell.detail else escaped(cell.text)


def _notes(report: Report) -> list[Column]:
    """What must be known about each row, if there is anything."""
    notes = ["; ".join([*entry.row.subject.notices, *entry.flags]) for entry in report.latency]
    return [Column("notes", "", False, tuple(Cell(note, note) for note in notes))] if any(notes) else []


def _footnote(report: Report) -> str:
    return _stated(
        {
            entry.tag: device_facts(entry.row.environment)
            | {"requests timed": str(entry.row.latency.n)}
            | method_facts(entry.row)
            for entry in report.latency
        }
    )


def _stated(facts: Mapping[str, Facts]) -> str:
    """Each fact once where all rows share it, else with the rows it is of."""
    lines = []
    for name in dict.fromkeys(name for every in facts.values() for name in every):
        rows: dict[str, list[str]] = {}
        for tag, every in facts.items():
            rows.setdefault(every.get(name, "none"), []).append(tag)
        told = [_value(name, text) + _rows(tags, len(rows)) for text, tags in rows.items()]
        lines.append(f"- {name}: {'; '.join(told)}")
    return "\n".join(lines)


def _rows(tags: Sequence[str], values: int) -> str:
    return "" if values == 1 else f" (row{'s' if len(tags) > 1 else ''} {', '.join(tags)})"


def _value(name: str, text: str) -> str:
    """A command stands as code, unless it holds the sign that ends code."""
    return f"`{_LINE.sub(' ', text)}`" if name == "command" and "`" not in text else escaped(text)


def _shortened(lines: Sequence[str], at: int) -> str:
    return repr(lines[at] if at < len(lines) else "the end of the file")[:200]
