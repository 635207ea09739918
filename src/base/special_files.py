"""What a name stands for: files that programs leave beside others, and things that are no files to read."""

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

    Such are ``.DS_Store`` and the resource forks ``._name`` of a Mac, and ``.ipynb_checkpoints`` of Jupyter.
    """
    return any(part.startswith(".") for part in path.parts)


def special_kind(path: str | Path) -> str:
    """Return what stands at `path` that must not be opened as a file: opening or reading it may never end.

    Links are followed. Files, folders and what is not there are "".
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - of a path that may be text
    except (OSError, ValueError):
        return ""
    return next((kind for is_kind, kind in _SPECIAL if is_kind(mode)), "")


def require_regular(path: str | Path) -> None:
    """Raise a DataError if what stands at `path` must not be opened as a file; see `special_kind`."""
    kind = special_kind(path)
    if kind:
        raise DataError(f"{path}: is {kind}, no regular file; remove it, or put the file itself there")


def is_from_shell(path: str | Path) -> bool:
    """Return whether `path` is a pipe without a name of its own: such as ``<(command)`` passes, who writes is there."""
    return special_kind(path) == PIPE and not os.path.exists(os.path.realpath(path))  # noqa: PTH110
