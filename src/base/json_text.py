"""Reading JSON from untrusted sources, with limits on size and depth."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from src.base.special_files import PIPE, special_kind

LONGEST_TEXT = 1_000_000  # bytes of a file of YAML or JSON
DEEPEST = 50  # nested lists and mappings
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def read_whole(path: Path, longest: int = LONGEST_TEXT, *, may_be_pipe: bool = False) -> bytes:
    """Return the bytes of a file, after checking that it is a file and not too large.

    Args:
        path: the file.
        longest: how many bytes it may have.
        may_be_pipe: whether a pipe is read as well, until its writer closes it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is a pipe, a socket or a device, which is not opened, as reading might never end; it has more
            than `longest` bytes; or `path` is not a valid file name.
    """
    kind = special_kind(path)
    if kind and not (may_be_pipe and kind == PIPE):
        raise ValueError(f"is {kind}, not a regular file; put the file itself there")
    with path.open("rb") as file:
        data = file.read(longest + 1)
    if len(data) > longest:
        raise ValueError(f"has more than {longest / 1e6:g} MB, which is the limit")
    return data


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is not JSON in UTF-8, or nests lists and mappings more than 50 deep.
    """
    text = text.decode("utf-8") if isinstance(text, bytes) else text
    depth = 0
    for match in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
        if depth > DEEPEST:
            raise ValueError(f"has lists and mappings in each other more than {DEEPEST} deep")
    value = json.loads(text)
    if "\\ud" in text.lower():
        os.fsencode(json.dumps(value, ensure_ascii=False))  # raises ValueError for a lone surrogate
    return value


def read_json(path: Path, longest: int = LONGEST_TEXT) -> Any:
    """Return the value in a file of JSON.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not JSON in UTF-8, not a regular file, larger than `longest` bytes, or nested too deep.
    """
    return parse_json(read_whole(path, longest))
