"""Recognising hidden files, and pipes, sockets and devices, which must not be read as files."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePath

from src.base.errors import DataError

PIPE = "a named pipe"
_SPECIAL = (
    (stat.S_ISFIFO, PIPE),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def is_hidden(path: PurePath) -> bool:
    """Return whether a relative path has a part that begins with a dot.

    Examples are ``.DS_Store`` and the resource forks ``._name`` of macOS, and Jupyter's ``.ipynb_checkpoints``.
    """
    return any(part.startswith(".") for part in path.parts)


def special_kind(path: str | Path) -> str:
    """Return the kind of a pipe, socket or device at `path`, where opening or reading may never return.

    Links are followed. For files, folders and missing paths the result is "".
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - of a path that may be text
    except (OSError, ValueError):
        return ""
    return next((kind for is_kind, kind in _SPECIAL if is_kind(mode)), "")


def require_regular(path: str | Path) -> None:
    """Raise a DataError if a pipe, socket or device is at `path`."""
    kind = special_kind(path)
    if kind:
        raise DataError(f"{path}: is {kind}, not a regular file; remove it, or put the file itself there")


def is_from_shell(path: str | Path) -> bool:
    """Return whether `path` is an anonymous pipe, such as ``<(command)`` passes, whose writer exists already."""
    return special_kind(path) == PIPE and not os.path.exists(os.path.realpath(path))  # noqa: PTH110
