"""Checking values of untrusted JSON against declared types."""

from __future__ import annotations

import dataclasses
import functools
import math
import reprlib
import typing
from typing import Any

_hints = functools.lru_cache(maxsize=None)(typing.get_type_hints)
_EXPECTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    dict: "keys and values",
    tuple: "a list",
}


def typed(value: Any, hint: Any, where: str = "") -> Any:
    """Return a value after checking it against a type hint, lists as tuples and objects as dataclasses.

    There is no other conversion: "3" and 3.0 are not accepted as whole numbers.

    Args:
        value: the value as read.
        hint: bool, int, float, str, dict, a dataclass of such fields, or a tuple of fixed or any length.
        where: name of the value in messages, such as ``samples[0].fitted``.

    Raises:
        ValueError: the value has another type, or an unknown or missing key; one line that names the place.
    """
    arguments = typing.get_args(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _record(value, hint, where)
    if typing.get_origin(hint) is tuple:
        _require(isinstance(value, (list, tuple)), value, _EXPECTED[tuple], where)
        if arguments[-1] is Ellipsis:
            arguments = arguments[:1] * len(value)
        _require(len(value) == len(arguments), value, f"{len(arguments)} values", where)
        return tuple(typed(item, kind, f"{where}[{i}]") for i, (item, kind) in enumerate(zip(value, arguments)))
    kinds = (int, float) if hint is float else hint
    fits = isinstance(value, kinds) and (hint is bool or not isinstance(value, bool))
    _require(fits and (hint is not float or _is_finite(value)), value, _EXPECTED[hint], where)
    return value


def optional(value: Any, hint: Any, where: str) -> Any:
    """Return None for None, and any other value checked as by `typed`."""
    return None if value is None else typed(value, hint, where)


def _record(value: Any, kind: type, where: str) -> Any:
    _require(isinstance(value, dict), value, _EXPECTED[dict], where)
    prefix = f"{where}." if where else ""
    hints = _hints(kind)
    for name in hints.keys() ^ value.keys():
        raise ValueError(f"{prefix}{reprlib.repr(name)[1:-1]}: {'missing' if name in hints else 'unknown'}")
    return kind(**{name: typed(value[name], hint, prefix + name) for name, hint in hints.items()})


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def _require(fits: bool, value: Any, expected: str, where: str) -> None:
    if not fits:
        place = f"{where}: " if where else ""
        raise ValueError(f"{place}expected {expected}, got {reprlib.repr(value)}")
