"""Files of one JSON object a line, by training step."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import math
import os
from pathlib import Path

from src.base.errors import DataError
from src.base.json_text import parse_json, read_whole
from src.base.special_files import require_regular

logger = logging.getLogger(__name__)
MAX_SAFE_INTEGER = 2**53  # every whole number up to it is exact as a float, and so in browsers
_LONGEST = 200_000_000  # bytes of a file
_warned: set[Path] = set()  # files whose unreadable lines were reported


def append_json(path: Path, record: dict) -> None:
    """Append `record` to `path` as one line, or nothing at all; non-finite numbers become null.

    The record starts on a new line even if the file ends within one, as after a crash.

    Raises:
        OSError: the file cannot be written.
    """
    clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    with path.open("a+b", buffering=0) as stream:
        end = stream.seek(0, os.SEEK_END)
        if end:
            stream.seek(end - 1)
        torn = end > 0 and stream.read(1) != b"\n"
        line = b"\n" * torn + json.dumps(clean).encode() + b"\n"
        try:
            if stream.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            with contextlib.suppress(OSError):
                stream.truncate(end)
            raise


def read_json_lines(path: Path) -> list[dict]:
    """Return the records of `path`, sorted by step; of records with equal steps (a resumed run) the last one counts.

    Lines that are not records, e.g. half-written by a killed run, are left out, which is logged once per file. A file
    that does not exist has no records.

    Raises:
        DataError: the file is not a regular file, or larger than 200 MB.
        OSError: the file cannot be read.
    """
    require_regular(path)
    if not path.exists():
        return []
    try:
        lines = read_whole(path, _LONGEST).split(b"\n")
    except ValueError as err:
        raise DataError(f"{path}: {err}; remove the file") from err
    found = {number: _record(line) for number, line in enumerate(lines, 1) if line.strip()}
    unreadable = [number for number, record in found.items() if record is None]
    if unreadable and path not in _warned:
        _warned.add(path)
        count = "1 line is" if len(unreadable) == 1 else f"{len(unreadable)} lines are"
        logger.warning("%s: %s unreadable and left out, the first is line %d", path, count, unreadable[0])
    records = {record["step"]: record for record in found.values() if record}
    return [records[step] for step in sorted(records)]


def _record(line: bytes) -> dict | None:
    try:
        record = parse_json(line)
    except ValueError:
        return None
    valid = isinstance(record, dict) and type(record.get("step")) is int
    return record if valid and all(map(_is_plain, record.values())) else None


def _is_plain(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) <= MAX_SAFE_INTEGER
    return value is None or isinstance(value, (float, str))
