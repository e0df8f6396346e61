from __future__ import annotations

import pytest

from briges.runtime.versions import parse_version


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("10.13.3.9", (10, 13, 3, 9)),
        ("2.8.0+cpu", (2, 8, 0)),
        ("2.5.0a0+872d972e41.nv24.8", (2, 5, 0)),
        ("11", (11,)),
        ("unknown", (0,)),
        ("", (0,)),
    ],
)
def test_a_version_is_the_numbers_it_begins_with(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_version(text) == numbers


def test_versions_compare_as_numbers() -> None:
    assert parse_version("10.2") > parse_version("9.9")
