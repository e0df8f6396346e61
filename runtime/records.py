"""JSON <-> frozen dataclasses, strictly: a field that is missing, unknown or of the wrong type is an error.

Supports what our records are made of: str, int, float, bool, None, nested dataclasses, ``tuple[X, ...]``,
``dict[str, X]``, ``Literal`` and unions of these.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import reprlib
import sys
import types
import typing
from typing import Any, TypeVar

Record = TypeVar("Record")


class RecordError(ValueError):
    """A document that does not have the shape of its record; the text says where and why."""


def to_json(record: object) -> str:
    """Serialise a dataclass, indented, keys in the order of the fields, with a final newline."""
    assert dataclasses.is_dataclass(record)
    assert not isinstance(record, type)
    return json.dumps(dataclasses.asdict(record), indent=2, allow_nan=False) + "\n"


def parse_json(text: str | bytes) -> object:
    """Parse JSON. Raises RecordError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"not JSON: {error}") from error


def from_object(kind: type[Record], raw: object) -> Record:
    """Turn a parsed JSON value into ``kind``. Raises RecordError."""
    value = _decode(kind, raw, "")
    assert isinstance(value, kind)
    return value


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, raw: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _decode_record(kind, raw, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return _require(raw in arguments and not isinstance(raw, bool), raw, f"one of {list(arguments)}", where)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, raw, where)
    if origin is tuple:
        _require(isinstance(raw, list), raw, "a list", where)
        return tuple(_decode(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(raw))
    if origin is dict:
        _require(isinstance(raw, dict), raw, "an object", where)
        return {key: _decode(arguments[1], item, f"{where}.{key}") for key, item in raw.items()}
    if kind is float:
        # Compared rather than asked with math.isfinite, which overflows on an integer of 400 digits.
        number = isinstance(raw, int | float) and not isinstance(raw, bool) and abs(raw) <= sys.float_info.max
        return float(_require(number, raw, "a finite number", where))
    if kind is types.NoneType:
        return _require(raw is None, raw, "null", where)
    return _require(type(raw) is kind, raw, kind.__name__, where)


def _decode_record(kind: type, raw: Any, where: str) -> Any:
    _require(isinstance(raw, dict), raw, "an object", where)
    names = {field.name for field in dataclasses.fields(kind)}
    if unknown := sorted(raw.keys() - names):
        raise RecordError(f"{where or 'document'}: unknown field {unknown[0]!r}")
    if missing := sorted(names - raw.keys()):
        raise RecordError(f"{where or 'document'}: field {missing[0]!r} is missing")
    hints = _hints(kind)
    values = {name: _decode(hints[name], raw[name], f"{where}.{name}".lstrip(".")) for name in names}
    try:
        return kind(**values)
    except ValueError as error:
        raise RecordError(f"{where or 'document'}: {error}") from error


def _decode_union(choices: tuple[Any, ...], raw: Any, where: str) -> Any:
    for choice in choices:
        if (raw is None) == (choice is types.NoneType):
            return _decode(choice, raw, where)
    raise RecordError(f"{where}: came null, expected a value")


def _require(fine: bool, raw: Any, expected: str, where: str) -> Any:
    if not fine:
        raise RecordError(f"{where or 'document'}: came {_short(raw)}, expected {expected}")
    return raw


def _short(raw: Any) -> str:
    text = reprlib.repr(raw)  # plain repr can exhaust the stack on what the parser has just accepted
    return text if len(text) <= 60 else text[:57] + "..."
