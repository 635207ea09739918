"""Check the files of a run before they go into a page, because they may come from elsewhere."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from src.base.errors import DataError, one_line
from src.base.json_lines import MAX_SAFE_INTEGER
from src.base.json_text import read_json
from src.base.special_files import require_regular

Fields = Mapping[str, tuple[str, Callable[[Any], bool]]]  # by name: the expected value in words, and its check


def is_number(value: Any) -> bool:
    """Return whether a JSON value is a number that a browser can represent, or null."""
    return value is None or type(value) is float or (type(value) is int and abs(value) <= MAX_SAFE_INTEGER)


def is_count(value: Any) -> bool:
    """Return whether a value is a non-negative integer that a browser represents exactly."""
    return type(value) is int and 0 <= value <= MAX_SAFE_INTEGER


def is_text(value: Any) -> bool:
    """Return whether a value is text."""
    return isinstance(value, str)


def is_mapping(value: Any) -> bool:
    """Return whether a value is a mapping."""
    return isinstance(value, dict)


def list_of(is_one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a check for a list whose entries all pass `is_one`."""
    return lambda value: isinstance(value, list) and all(map(is_one, value))


NUMBER = ("a number", is_number)
NUMBERS = ("a list of numbers", list_of(is_number))
COUNT = ("a whole number", is_count)
TEXT = ("text", is_text)
TEXTS = ("a list of texts", list_of(is_text))
MAPPING = ("a mapping", is_mapping)


def check_fields(record: Any, fields: Fields, where: str | Path) -> None:
    """Raise a DataError if a value is not a mapping, or one of its `fields` is not as expected.

    Args:
        record: the value.
        fields: the expected values; a field may be missing or null.
        where: the file, and the place in it, for the message.
    """
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected an object, got {type(record).__name__}; remove the file, or write it anew")
    for name, (what, fits) in fields.items():
        value = record.get(name)
        if value is not None and not fits(value):
            raise DataError(
                f"{where}: {name} must be {what}, got {reprlib.repr(value)}; remove the file, or write it anew"
            )


def read_object(path: Path, fields: Fields) -> dict | None:
    """Return the mapping in a JSON file; None if there is no such file.

    Raises:
        DataError: it is not a regular file, not JSON, too large, or has wrong values; see `check_fields`.
        OSError: it cannot be read.
    """
    require_regular(path)
    if not path.is_file():
        return None
    try:
        values = read_json(path)
    except ValueError as err:
        raise DataError(f"{path}: not JSON: {one_line(err)}; remove the file, or write it anew") from err
    check_fields(values, fields, path)
    return values
