"""Values of JSON against the types that are declared for them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from src.base.json_values import optional, typed

pytestmark = pytest.mark.once


@dataclass(frozen=True)
class Part:
    """A part of a whole."""

    name: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Whole:
    """Every kind of value."""

    flag: bool
    share: float
    parts: tuple[Part, ...]
    free: dict


GOOD = {"flag": True, "share": 1, "parts": [{"name": "a", "size": [2, 3]}], "free": {"x": []}}


def test_lists_become_tuples_and_keys_and_values_dataclasses():
    assert typed(GOOD, Whole) == Whole(True, 1, (Part("a", (2, 3)),), {"x": []})
    assert typed({**GOOD, "parts": []}, Whole).parts == ()
    assert optional(None, int, "number") is None
    assert optional(4, int, "number") == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flag": 1}, "flag: expected true or false, got 1"),
        ({"share": True}, "share: expected a finite number, got True"),
        ({"share": "0.5"}, "share: expected a finite number, got '0.5'"),
        ({"share": float("nan")}, "share: expected a finite number, got nan"),
        ({"share": float("inf")}, "share: expected a finite number, got inf"),
        ({"share": 10**400}, "share: expected a finite number, got 10{16}"),
        ({"free": []}, r"free: expected keys and values, got \[\]"),
        ({"parts": "ab"}, "parts: expected a list, got 'ab'"),
        ({"parts": {"a": 1}}, "parts: expected a list, got {'a': 1}"),
        ({"parts": [7]}, r"parts\[0\]: expected keys and values, got 7"),
        ({"parts": [{"name": "a"}]}, r"parts\[0\]\.size: missing"),
        ({"parts": [{"name": None, "size": [2, 3]}]}, r"parts\[0\]\.name: expected text, got None"),
        ({"parts": [{"name": "a", "size": [2]}]}, r"parts\[0\]\.size: expected 2 values, got \[2\]"),
        ({"parts": [{"name": "a", "size": [2, 3.0]}]}, r"parts\[0\]\.size\[1\]: expected a whole number, got 3\.0"),
        ({"parts": [{"name": "a", "size": [2, False]}]}, r"size\[1\]: expected a whole number, got False"),
        ({"more": 1}, "^more: unknown$"),
        ({"x" * 10_000: 1}, r"^x+\.\.\.x+: unknown$"),
        ({"free": "y\n" * 10_000}, r"^free: expected keys and values, got '(y\\n)+.*\.\.\..*'$"),
    ],
)
def test_anything_else_is_one_short_line(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        typed({**GOOD, **change}, Whole)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 150
