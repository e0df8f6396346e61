"""Records survive the way to JSON and back, and nothing else gets in; every refusal names the place."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from briges.runtime.records import RecordError, from_object, parse_json, to_json


@dataclass(frozen=True)
class Wheel:
    radius_mm: int
    kind: Literal["front", "rear"]

    def __post_init__(self) -> None:
        if self.radius_mm < 0:
            raise ValueError("a radius cannot be negative")


@dataclass(frozen=True)
class Bicycle:
    name: str
    mass_kg: float
    folds: bool
    wheels: tuple[Wheel, ...]
    gears: dict[str, int]
    bell: Wheel | None
    note: str | None


GOOD: dict[str, Any] = {
    "name": "Brompton",
    "mass_kg": 11.5,
    "folds": True,
    "wheels": [{"radius_mm": 200, "kind": "front"}, {"radius_mm": 201, "kind": "rear"}],
    "gears": {"hub": 3, "derailleur": 2},
    "bell": {"radius_mm": 20, "kind": "front"},
    "note": None,
}


def read(text: str | bytes) -> Bicycle:
    return from_object(Bicycle, parse_json(text))


def refusal(document: object) -> str:
    with pytest.raises(RecordError) as caught:
        read(json.dumps(document))
    return str(caught.value)


def with_wheel(**changes: object) -> dict[str, Any]:
    return GOOD | {"wheels": [GOOD["wheels"][0], GOOD["wheels"][1] | changes]}


wheels = st.builds(Wheel, st.integers(0, 10**20), st.sampled_from(["front", "rear"]))
bicycles = st.builds(
    Bicycle,
    name=st.text(),
    mass_kg=st.floats(allow_nan=False, allow_infinity=False),
    folds=st.booleans(),
    wheels=st.lists(wheels, max_size=3).map(tuple),
    gears=st.dictionaries(st.text(), st.integers(), max_size=3),
    bell=st.none() | wheels,
    note=st.none() | st.text(),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_a_record_is_written_with_its_fields_in_order_and_a_final_newline():
    text = to_json(read(json.dumps(GOOD)))
    assert text.endswith("}\n")
    assert list(json.loads(text)) == list(GOOD)
    assert json.loads(text) == GOOD


@given(bicycles)
def test_every_record_survives_the_round_trip(bicycle):
    assert read(to_json(bicycle)) == bicycle
    assert read(to_json(bicycle).encode()) == bicycle


def test_a_whole_number_is_a_float_where_a_float_is_wanted():
    mass_kg = read(json.dumps(GOOD | {"mass_kg": 12})).mass_kg
    assert (mass_kg, type(mass_kg)) == (12.0, float)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_json_cannot_hold_is_not_written(value):
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        to_json(Bicycle("x", value, False, (), {}, None, None))


@pytest.mark.parametrize("field", GOOD)
def test_a_missing_field_is_named(field):
    assert refusal({name: value for name, value in GOOD.items() if name != field}) == (
        f"document: field {field!r} is missing"
    )


def test_an_unknown_field_is_named():
    assert refusal(GOOD | {"colour": "red"}) == "document: unknown field 'colour'"
    assert refusal(with_wheel(spokes=32)) == "wheels[1]: unknown field 'spokes'"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": 3}, "name: came 3, expected str"),
        ({"name": None}, "name: came None, expected str"),
        ({"mass_kg": "11"}, "mass_kg: came '11', expected a finite number"),
        ({"mass_kg": True}, "mass_kg: came True, expected a finite number"),
        ({"mass_kg": math.nan}, "mass_kg: came nan, expected a finite number"),
        ({"mass_kg": -math.inf}, "mass_kg: came -inf, expected a finite number"),
        ({"folds": 1}, "folds: came 1, expected bool"),
        ({"wheels": {}}, "wheels: came {}, expected a list"),
        ({"wheels": None}, "wheels: came None, expected a list"),
        ({"wheels": [7]}, "wheels[0]: came 7, expected an object"),
        ({"gears": []}, "gears: came [], expected an object"),
        ({"gears": {"hub": 2.5}}, "gears.hub: came 2.5, expected int"),
        ({"gears": {"hub": True}}, "gears.hub: came True, expected int"),
        ({"bell": "ring"}, "bell: came 'ring', expected an object"),
        ({"bell": {"radius_mm": 1}}, "bell: field 'kind' is missing"),
        ({"note": 5}, "note: came 5, expected str"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_place(changes, message):
    assert refusal(GOOD | changes) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"radius_mm": True}, "wheels[1].radius_mm: came True, expected int"),
        ({"radius_mm": 1.0}, "wheels[1].radius_mm: came 1.0, expected int"),
        ({"kind": "middle"}, "wheels[1].kind: came 'middle', expected one of ['front', 'rear']"),
        ({"kind": ["front"]}, "wheels[1].kind: came ['front'], expected one of ['front', 'rear']"),
        ({"radius_mm": -1}, "wheels[1]: a radius cannot be negative"),
    ],
)
def test_the_place_inside_a_list_is_named(changes, message):
    assert refusal(with_wheel(**changes)) == message


@pytest.mark.parametrize("document", [None, 3, "text", [], [GOOD]])
def test_a_document_that_is_no_object_is_refused(document):
    assert refusal(document).startswith("document: came ")
    assert refusal(document).endswith("expected an object")


def test_a_long_value_is_shortened():
    message = refusal(GOOD | {"folds": ["word " * 20] * 20})
    assert message.startswith("folds: came [")
    assert message.endswith("..., expected bool")
    assert len(message) < 100


def test_a_number_of_four_hundred_digits_is_refused():
    assert refusal(GOOD | {"mass_kg": 10**400}).startswith("mass_kg: came 1000000")


@pytest.mark.parametrize("text", ["", "{", "nonsense", b"\xff\xfe\x00", '{"a": 1} 2', "9" * 5000])
def test_what_is_not_json_is_refused(text):
    with pytest.raises(RecordError, match=r"^not JSON: "):
        parse_json(text)


def test_nesting_of_any_depth_is_refused_and_not_a_crash():
    # The parser gives up at some depth; what it just lets pass must not exhaust the stack afterwards.
    for depth in (*range(900, 1100), 100_000):
        with pytest.raises(RecordError, match=r"^not JSON: |^name: came \[\["):
            read(json.dumps(GOOD).replace('"Brompton"', "[" * depth + "]" * depth))


@given(json_values)
def test_any_other_document_is_a_record_error_and_nothing_else(document):
    with pytest.raises(RecordError):
        from_object(Bicycle, document)


@given(st.sampled_from(list(GOOD)), json_values)
def test_any_replaced_field_is_read_or_refused_by_name(field, value):
    try:
        read_back = json.loads(to_json(from_object(Bicycle, GOOD | {field: value})))
    except RecordError as error:
        message = str(error)
    else:
        message = f"{field} was read"
        assert read_back[field] == value
    assert message.startswith(field)
