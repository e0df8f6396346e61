"""The option --temperature: what it accepts, and what it says to everything else."""

from __future__ import annotations

import pytest

from briges.export.temperature import parse_temperature
from briges.runtime.errors import UsageError
from briges.runtime.sidecar import Temperature


@pytest.mark.parametrize(
    ("text", "cross", "self_attention"),
    [
        ("1.0", 1.0, 1.0),
        ("3", 3.0, 3.0),
        ("0.5", 0.5, 0.5),
        ("cross=3,self=1", 3.0, 1.0),
        ("self=1.5,cross=2", 2.0, 1.5),
        ("cross = 3, self = 1", 3.0, 1.0),
    ],
)
def test_a_number_goes_to_both_sites_and_a_pair_to_one_each(text, cross, self_attention):
    assert parse_temperature(text, gated=True) == Temperature("folded", cross, self_attention, learned=())


def test_dynamic_folds_nothing():
    assert parse_temperature("dynamic", gated=True) == Temperature("dynamic", 1.0, 1.0, learned=())


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "-1",
        "nan",
        "inf",
        "1e400",
        "",
        "warm",
        "3.0,1.0",
        "cross=3",
        "self=0,cross=1",
        "cross=3,self=-1",
        "cross=3,cross=3,self=1",
        "cross=3,own=1",
        "cross=3=1,self=1",
        "cross=,self=1",
        "Dynamic",
    ],
)
def test_anything_else_is_refused_with_the_three_forms(text):
    with pytest.raises(UsageError) as caught:
        parse_temperature(text, gated=True)
    assert (caught.value.subject, caught.value.came) == ("--temperature", repr(text))
    assert caught.value.expected == "a number above 0, or cross=NUMBER,self=NUMBER, or dynamic"
    assert "1.0 is the model as trained" in caught.value.cure
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["1", "1.0", "cross=1,self=1"])
def test_without_gates_only_the_neutral_temperature_is_accepted(text):
    assert parse_temperature(text, gated=False) == Temperature("none", 1.0, 1.0, learned=())


@pytest.mark.parametrize("text", ["3.0", "dynamic", "cross=1,self=2"])
def test_without_gates_there_is_nothing_to_divide(text):
    with pytest.raises(UsageError) as caught:
        parse_temperature(text, gated=False)
    assert caught.value.came == f"{text} for a preset without Bridging Gates"
    assert caught.value.cure == "leave it out, or choose a briges-* preset"
