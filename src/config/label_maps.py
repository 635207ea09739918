"""The maps ``data.label_ids`` and ``data.label_colors`` from the values in label files to train ids.

In YAML both map text to text: ``7: 0``, ``1-150: 0-149`` or ``0: ignore`` for ids, ``128 64 128: 3`` for colours. This
module turns them into numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from src.base.errors import ConfigError
from src.base.file_kinds import no_text
from src.base.paths import user_path
from src.config.yaml_loader import Text, read_document, read_file

IGNORED = "ignore"
LABEL_FILE_KEYS = ("label_ids", "label_colors")  # of the section data; a text value is a file name
MOST_COLORS = 255  # a byte numbers them, with one number for all other colours
_RANGE = re.compile(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})\s*)?")
_COLOR = re.compile(r"\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*")

Color = tuple[int, int, int]


def read_entries(value: Any) -> dict[str, str]:
    """Return a map from text to text.

    Args:
        value: a mapping, the path of a YAML file that holds one, or text in braces from the command line.

    Raises:
        ConfigError: it is none of these, has no entries, or the path is that of a pipe or device.
    """
    source = ""
    if isinstance(value, str):
        in_braces = isinstance(value, Text) and value.lstrip().startswith("{")
        source = "" if in_braces else f"{value}: "
        value = read_document(value) if in_braces else _read(user_path(value))
    if not isinstance(value, dict) or not value:
        raise ConfigError(f"{source}expected raw values and train ids, such as {{0: ignore, 1-150: 0-149}}")
    for raw, train_id in value.items():
        if isinstance(train_id, bool) or not isinstance(train_id, (int, str)):
            hint = "; YAML needs a space after the colon" if train_id is None and ":" in str(raw) else ""
            raise ConfigError(f"{source}{raw}: expected a train id or {IGNORED}, got {train_id!r}{hint}")
    return {str(raw): str(train_id) for raw, train_id in value.items()}


def _read(path: Path) -> Any:
    try:
        return read_file(path, encoding="utf-8-sig")
    except (OSError, ValueError) as err:
        raise ConfigError(f"{path}: cannot be read: {no_text(path, err)}") from err


def parse_ids(entries: Mapping[str, str], num_classes: int, ignore_label: int) -> dict[int, int]:
    """Return the train id of each raw id, in the order of the map.

    Args:
        entries: maps a raw id 0..255, or a range of them, to a train id, a range of the same length, or "ignore".
        num_classes: number of classes.
        ignore_label: train id that "ignore" stands for.

    Raises:
        ConfigError: one line for each wrong entry.
    """

    def pairs(raw: str, target: str) -> Iterator[tuple[int, int]]:
        ids = _numbers(raw, "raw ids are 0..255, or a range such as 1-150")
        first, *more = _train_ids(target, ignore_label)
        if more and len(more) + 1 != len(ids):
            raise ValueError(f"{len(ids)} raw ids, but {len(more) + 1} train ids")
        return zip(ids, [first, *more] if more else [first] * len(ids))

    return _collect(entries, pairs, num_classes, ignore_label)


def parse_colors(entries: Mapping[str, str], num_classes: int, ignore_label: int) -> dict[Color, int]:
    """Return the train id of each RGB colour, in the order of the map.

    Args:
        entries: maps a colour ``R G B``, each 0..255, to a train id or "ignore".
        num_classes: number of classes.
        ignore_label: train id that "ignore" stands for.

    Raises:
        ConfigError: one line for each wrong entry, or there are more than 255 entries.
    """

    def pairs(raw: str, target: str) -> Iterator[tuple[Color, int]]:
        match = _COLOR.fullmatch(raw)
        red, green, blue = map(int, match.groups()) if match else (256, 256, 256)
        if max(red, green, blue) > 255:
            raise ValueError("a colour is R G B, each 0..255")
        train_id, *more = _train_ids(target, ignore_label)
        if more:
            raise ValueError(f"expected one train id, got {target}")
        return iter([((red, green, blue), train_id)])

    if len(entries) > MOST_COLORS:
        raise ConfigError(f"has {len(entries)} colours, the limit is {MOST_COLORS}")
    return _collect(entries, pairs, num_classes, ignore_label)


def _collect(
    entries: Mapping[str, str], pairs: Callable[[str, str], Iterator[tuple[Any, int]]], num_classes: int, ignored: int
) -> dict[Any, int]:
    found: dict[Any, int] = {}
    problems = []
    for raw, target in entries.items():
        try:
            for value, train_id in pairs(raw, target):
                if value in found:
                    shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
                    raise ValueError(f"{shown} is given twice")
                if train_id >= num_classes and train_id != ignored:
                    raise ValueError(f"train id {train_id} is outside 0..{num_classes - 1}; or write {IGNORED}")
                found[value] = train_id
        except ValueError as err:
            problems.append(f"{raw}: {err}")
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def _numbers(text: str, expected: str) -> range:
    match = _RANGE.fullmatch(text)
    first = int(match[1]) if match else -1
    last = int(match[2] or first) if match else -1
    if not 0 <= first <= last <= 255:
        raise ValueError(f"{expected}; got {text!r}")
    return range(first, last + 1)


def _train_ids(text: str, ignore_label: int) -> list[int]:
    if text.strip().lower() == IGNORED:
        return [ignore_label]
    return list(_numbers(text, f"expected a train id, a range of them, or {IGNORED}"))
