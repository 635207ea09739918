"""Colours and names of the classes from a file of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.base.errors import ConfigError
from src.base.file_kinds import no_text
from src.base.json_text import parse_json, read_whole
from src.base.special_files import is_from_shell


def read_palette(path: Path, names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read one colour a class, in the order of the class ids.

    A text file has a line ``R G B [name]`` a class; empty lines and lines that begin with # are skipped. A JSON file
    (*.json) is a list of ``[R, G, B]`` or ``[R, G, B, "name"]``. Colours are 0..255.

    Args:
        path: the file.
        names: the classes' names, which stand where the file has none.

    Returns:
        RGB colours (num_classes, 3) uint8, and the names.

    Raises:
        ConfigError: the file cannot be read, a line is no colour, or there are more or fewer than classes.
    """
    try:
        text = read_whole(path, may_be_pipe=is_from_shell(path)).decode("utf-8-sig")
    except (OSError, ValueError) as err:
        raise ConfigError(f"--palette {path}: cannot be read: {no_text(path, err)}") from err
    entries = _json_entries(text, path) if path.suffix.lower() == ".json" else _text_entries(text)
    parsed = [_parse(fields, f"--palette {path}, {where}") for where, fields in entries]
    if len(parsed) != len(names):
        raise ConfigError(f"--palette {path}: has {len(parsed)} colours, the network has {len(names)} classes")
    colors = np.array([color for color, _ in parsed], np.uint8)
    return colors, tuple(own or name for (_, own), name in zip(parsed, names))


def _text_entries(text: str) -> list[tuple[str, list]]:
    lines = enumerate(map(str.strip, text.splitlines()), start=1)
    return [(f"line {number}", line.split(maxsplit=3)) for number, line in lines if line and not line.startswith("#")]


def _json_entries(text: str, path: Path) -> list[tuple[str, list]]:
    try:
        values = parse_json(text)
    except ValueError as err:
        raise ConfigError(f"--palette {path}: not JSON: {err}") from err
    if not isinstance(values, list) or not all(isinstance(value, list) for value in values):
        raise ConfigError(f'--palette {path}: expected a list of [R, G, B] or [R, G, B, "name"]')
    return [(f"entry {number}", value) for number, value in enumerate(values)]


def _parse(fields: list, where: str) -> tuple[tuple[int, ...], str]:
    """Return colour and name of one class; no name is an empty one."""
    color, rest = fields[:3], fields[3:]
    try:
        levels = tuple(int(str(level)) for level in color)
    except ValueError:
        levels = ()
    if len(levels) != 3 or not all(0 <= level <= 255 for level in levels) or len(rest) > 1:
        shown = " ".join(map(str, fields))[:40]
        raise ConfigError(f"{where}: expected R G B, each 0..255, and perhaps a name; got {shown!r}")
    return levels, str(rest[0]).strip() if rest else ""
