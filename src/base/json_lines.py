"""Files of one JSON object a line, by training step."""

from __future__ import annotations

import json
import math
from pathlib import Path


def append_json(path: Path, record: dict) -> None:
    """Append `record` to `path` as one line; numbers that JSON does not know become null."""
    clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(clean) + "\n")


def read_json_lines(path: Path) -> list[dict]:
    """Return the records of `path`, by step, the last one of each step: a resumed run may have written a step again.

    A half-written last line, of a run that was killed, is left out.
    """
    records: dict[int, dict] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            records[record["step"]] = record
    return [records[step] for step in sorted(records)]
