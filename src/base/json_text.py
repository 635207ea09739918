"""JSON that others have written: never deeper or larger than what this project reads."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from src.base.special_files import PIPE, special_kind

LONGEST_TEXT = 1_000_000  # bytes of a file of YAML or JSON
DEEPEST = 50  # lists and mappings in each other
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def read_whole(path: Path, longest: int = LONGEST_TEXT, *, may_be_pipe: bool = False) -> bytes:
    """Return the bytes of a file, of which no more are read than are allowed.

    Args:
        path: the file.
        longest: how many bytes it may have.
        may_be_pipe: whether a pipe is read as well, until whoever writes to it ends.

    Raises:
        OSError: it cannot be read.
        ValueError: it is a pipe, a socket or a device, which is not opened: it may never end; it has more than
            `longest` bytes, or no file can be called so.
    """
    kind = special_kind(path)
    if kind and not (may_be_pipe and kind == PIPE):
        raise ValueError(f"is {kind}, no regular file; put the file itself there")
    with path.open("rb") as file:
        data = file.read(longest + 1)
    if len(data) > longest:
        raise ValueError(f"has more than {longest / 1e6:g} MB, which is the limit")
    return data


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is no JSON in UTF-8, or has lists and mappings in each other more than 50 deep.
    """
    text = text.decode("utf-8") if isinstance(text, bytes) else text
    depth = 0
    for match in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > DEEPEST:
            raise ValueError(f"has lists and mappings in each other more than {DEEPEST} deep")
    value = json.loads(text)
    if "\\ud" in text.lower():
        os.fsencode(json.dumps(value, ensure_ascii=False))  # half of a character is a ValueError
    return value


def read_json(path: Path, longest: int = LONGEST_TEXT) -> Any:
    """Return the value in a file of JSON.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON in UTF-8, no regular file, larger than `longest` bytes, or too deep.
    """
    return parse_json(read_whole(path, longest))
