"""Writing files so that no reader ever sees a part of one under its name."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from src.utils.errors import UserError


def write_whole(path: str | Path, data: bytes, what: str = "") -> None:
    """Write `data` to `path`, replacing what is there; the file appears whole or not at all.

    Args:
        path: the file.
        data: its content.
        what: what the file is, for the message, e.g. "the picture ".

    Raises:
        UserError: it cannot be written; nothing is left behind.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as err:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {what}{path}: {err.strerror or err}") from err
